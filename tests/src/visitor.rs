//! Somebody with a browser's habits and no browser: keeps cookies, fills in forms, follows a redirect when told to.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::server::{Answer, Server};

/// Somebody at a server.
#[derive(Debug)]
pub struct Visitor<'s> {
    server: &'s Server,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl<'s> Visitor<'s> {
    #[must_use]
    pub fn of(server: &'s Server) -> Self {
        Self { server, cookies: RefCell::default() }
    }

    /// Logs in and expects to be let in.
    #[track_caller]
    #[must_use]
    pub fn logged_in(server: &'s Server, name: &str, password: &str) -> Self {
        let visitor = Self::of(server);
        let answer = visitor.post("/login", &[("user", name), ("password", password)]);
        assert_eq!(answer.status, 303, "{}", answer.body);
        visitor
    }

    /// The value of a cookie this visitor was given.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    /// Comes with somebody's cookie.
    pub fn take_cookie(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Accept", "text/html")], "")
    }

    /// Fills in a form: the proof of the session is taken from a page of ours, as a browser would.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get("/account").body;
        let proof = page.split_once("name=\"form_token\" value=\"").and_then(|(_, rest)| rest.split('"').next());
        let mut fields = fields.to_vec();
        fields.push(("form_token", proof.unwrap_or("")));
        self.send("POST", path, &[("Sec-Fetch-Site", "same-origin"), ("Accept", "text/html")], &form(&fields))
    }

    /// A request with exactly these headers, besides the cookies.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        if method == "POST" && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let answer = self.server.request(method, path, &headers, body);
        self.keep(&answer);
        answer
    }

    fn keep(&self, answer: &Answer) {
        let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        for pair in set.filter_map(|(_, value)| value.split(';').next()?.split_once('=')) {
            let (name, value) = pair;
            let mut cookies = self.cookies.borrow_mut();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// A form's body.
#[must_use]
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

/// Everything but letters and digits as `%XX`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
