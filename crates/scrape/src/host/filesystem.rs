//! `/proc/1/mountinfo`, or our own: how full file systems are.

use std::collections::HashSet;
use std::io;

use super::HostCollector;
use super::page::Page;

/// Systems without a disk behind them.
const TYPES_EXCLUDED: [&str; 29] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "fuse.lxcfs",
    "fuse.portal",
];
/// Systems of other machines: where one of those is gone, asking would wait for ever.
const TYPES_REMOTE: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "afs",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "fuse.s3fs",
];
/// Places whose fill level is somebody else's, and what lies below them.
const PLACES_EXCLUDED: [&str; 6] =
    ["/dev", "/proc", "/sys", "/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];

struct Mount {
    device: String,
    kind: String,
    place: String,
    read_only: bool,
}

pub(super) fn collect(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    // The first process sees the machine's mounts; without the right to ask it, ours have to do.
    let text = host.read("1/mountinfo").or_else(|_| host.read("self/mountinfo"))?;
    let mut seen = HashSet::new();
    let mounts: Vec<Mount> = text
        .lines()
        .filter_map(parse)
        .filter(|mount| is_wanted(mount) && seen.insert((mount.device.clone(), mount.place.clone())))
        .collect();
    let stats: Vec<_> = mounts
        .iter()
        .map(|mount| {
            let below = mount.place.trim_start_matches('/');
            (mount, rustix::fs::statvfs(host.root.join(below)))
        })
        .collect();
    let mut write = |name: &str, help: &str, value: &dyn Fn(&Mount, &rustix::fs::StatVfs) -> f64| {
        page.family(name, "gauge", help);
        for (mount, stat) in &stats {
            if let Ok(stat) = stat {
                page.sample(&labels(mount), value(mount, stat));
            }
        }
    };
    write("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", &|_, stat| {
        stat.f_bavail as f64 * stat.f_frsize as f64
    });
    write("node_filesystem_files", "Filesystem total file nodes.", &|_, stat| stat.f_files as f64);
    write("node_filesystem_files_free", "Filesystem total free file nodes.", &|_, stat| stat.f_ffree as f64);
    write("node_filesystem_free_bytes", "Filesystem free space in bytes.", &|_, stat| {
        stat.f_bfree as f64 * stat.f_frsize as f64
    });
    write("node_filesystem_readonly", "Filesystem read-only status.", &|mount, _| f64::from(u8::from(mount.read_only)));
    write("node_filesystem_size_bytes", "Filesystem size in bytes.", &|_, stat| {
        stat.f_blocks as f64 * stat.f_frsize as f64
    });
    page.family(
        "node_filesystem_device_error",
        "gauge",
        "Whether an error occurred while getting statistics for the given device.",
    );
    for (mount, stat) in &stats {
        page.sample(&labels(mount), f64::from(u8::from(stat.is_err())));
    }
    Ok(())
}

fn labels(mount: &Mount) -> [(&str, &str); 3] {
    [("device", &mount.device), ("fstype", &mount.kind), ("mountpoint", &mount.place)]
}

fn is_wanted(mount: &Mount) -> bool {
    let below =
        |place: &&str| mount.place.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    !TYPES_EXCLUDED.contains(&mount.kind.as_str())
        && !TYPES_REMOTE.contains(&mount.kind.as_str())
        && !PLACES_EXCLUDED.iter().any(below)
}

/// `36 35 98:0 /root /place options [fields…] - type device super-options`
fn parse(line: &str) -> Option<Mount> {
    let (own, shared) = line.split_once(" - ")?;
    let mut own = own.split(' ').skip(4);
    let (place, options) = (own.next()?, own.next()?);
    let mut shared = shared.split(' ');
    let (kind, device, super_options) = (shared.next()?, shared.next()?, shared.next().unwrap_or(""));
    let read_only = [options, super_options].iter().any(|options| options.split(',').any(|option| option == "ro"));
    Some(Mount { device: unescape(device), kind: kind.to_owned(), place: unescape(place), read_only })
}

/// Blanks and the like are written as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = behind.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &behind[3..];
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_its_blanks() {
        let mount = parse("41 28 8:1 / /mnt/my\\040disk rw,relatime shared:1 - ext4 /dev/sda1 ro,errors=x").unwrap();
        assert_eq!((mount.place.as_str(), mount.kind.as_str(), mount.read_only), ("/mnt/my disk", "ext4", true));
        assert!(is_wanted(&mount));
        assert!(parse("41 28 8:1 / /mnt rw").is_none());
    }
}
