//! `watchpost healthcheck`: asks the server on this machine whether it lives, as a container's health check does.
//!
//! Plain HTTP over loopback, which both doors answer to callers on this machine: so no certificate can stand between
//! the check and the truth.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use appliance::config::Config;
use appliance::config::address::ListenAddr;
use appliance::config::load::{Sources, load};

use crate::cli::Healthcheck;
use crate::sources::sources;
use crate::version::say;

/// The head of an answer and a small body.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Exits with 0 where the server answers, 1 where it does not.
pub(crate) fn healthcheck(arguments: &Healthcheck) -> anyhow::Result<ExitCode> {
    let (address, host, path) = match &arguments.url {
        Some(url) => split_url(url)?,
        None => configured(arguments)?,
    };
    let status =
        ask(address, &host, &path, arguments.timeout).with_context(|| format!("{address}{path} does not answer"))?;
    if status != 200 {
        bail!("{address}{path} answers with status {status}, expected 200");
    }
    say("alive\n")
}

/// The first listener of the configuration, on loopback.
fn configured(arguments: &Healthcheck) -> anyhow::Result<(SocketAddr, String, String)> {
    let own = Sources { own_file_only: true, ..sources(arguments.config.clone(), &[], false) };
    let address = address_of(&load(&own)?)?;
    Ok((address, address.to_string(), "/live".to_owned()))
}

/// Where a caller on this machine reaches the server that a configuration describes.
pub(crate) fn address_of(config: &Config) -> anyhow::Result<SocketAddr> {
    let server = &config.settings.server;
    let Some(listen) = server.http_listen.iter().chain(&server.listen).next() else { bail!("there is no listener") };
    local_address(&listen.value)
}

/// Where a caller on this machine reaches a listener: one for every address is reached on loopback.
fn local_address(listen: &ListenAddr) -> anyhow::Result<SocketAddr> {
    let host = if listen.host.is_empty() { "0.0.0.0" } else { &listen.host };
    let mut found = (host, listen.port).to_socket_addrs().with_context(|| format!("{listen} is not an address"))?;
    let mut address = found.next().with_context(|| format!("{listen} has no address"))?;
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]) };
        address.set_ip(loopback);
    }
    Ok(address)
}

fn split_url(url: &str) -> anyhow::Result<(SocketAddr, String, String)> {
    let Some(rest) = url.strip_prefix("http://") else {
        bail!("--url {url}: expected http://host:port/path (both doors answer plain HTTP on loopback)");
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, "live"));
    let address = host.to_socket_addrs().with_context(|| format!("--url {url}"))?.next();
    Ok((address.with_context(|| format!("--url {url}: the host has no address"))?, host.to_owned(), format!("/{path}")))
}

fn ask(address: SocketAddr, host: &str, path: &str, timeout: Duration) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut head)?;
    let line = String::from_utf8_lossy(&head);
    let status = line.lines().next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    status.context("the answer is not HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_every_address_is_asked_on_loopback() {
        for (listen, asked) in [
            (":8080", "127.0.0.1:8080"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("127.0.0.1:3", "127.0.0.1:3"),
        ] {
            let address = local_address(&listen.parse().expect(listen)).expect(listen);
            assert_eq!(address.to_string(), asked);
        }
    }

    #[test]
    fn a_url_names_host_and_path() {
        let (address, host, path) = split_url("http://127.0.0.1:80/x/y").expect("it is one");
        assert_eq!(
            (address.to_string().as_str(), host.as_str(), path.as_str()),
            ("127.0.0.1:80", "127.0.0.1:80", "/x/y")
        );
        assert_eq!(split_url("http://127.0.0.1:80").expect("it is one").2, "/live");
        assert!(split_url("https://127.0.0.1").is_err());
    }
}
