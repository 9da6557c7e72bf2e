//! Secrets at rest that must be read again (the seeds of second factors): sealed with a key that is not in the database.
//!
//! Invariants: whoever has the database alone has no seed; a sealed text opens only for the purpose it was sealed for;
//! a key file that others can read is refused, not mended. Bytes on disk: docs/formats/secret-key.md.
//! Not here: passwords and tokens, which are never read again and kept as hashes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use zeroize::Zeroizing;

use crate::random::{self, NoRandomness, hex};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// What the file's one line begins with.
const FILE_BEGIN: &str = "watchpost-key-1 ";
/// A key file beyond this is something else.
const FILE_BYTES_MAX: u64 = 1024;
/// The first byte of what is sealed: how to open it.
const VERSION: u8 = 1;
/// Others may do nothing with the file, the group may not write it: Kubernetes mounts secrets readable for a group.
#[cfg(unix)]
const FORBIDDEN_MODE: u32 = 0o027;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: there is no such key file")]
    Missing { path: PathBuf },
    #[error("{path}: others can read or change the key file (mode {mode:o}), expected 600")]
    Open { path: PathBuf, mode: u32 },
    #[error("{path}: not a key file, expected one line: {FILE_BEGIN}and 64 hexadecimal digits")]
    Malformed { path: PathBuf },
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// What was sealed does not open: another key, another purpose, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret does not open: the key is another one, or the secret was changed")]
pub struct DoesNotOpen;

/// Whether a missing file is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The data folder's own key.
    MakeIfMissing,
    /// A file that somebody named: if it is not there, that is a mistake.
    MustExist,
}

/// The key that seals.
pub struct SealKey {
    aead: LessSafeKey,
    mark: [u8; 16],
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(<secret>)")
    }
}

impl SealKey {
    /// Reads the key; makes it where that is wanted. Of several processes that make it at once, one does.
    pub fn open(path: &Path, mode: OpenMode) -> Result<Self, KeyError> {
        match read(path) {
            Err(KeyError::Missing { .. }) if mode == OpenMode::MakeIfMissing => {
                make(path)?;
                read(path)
            }
            answer => answer,
        }
    }

    /// A key of its own for tests, and for servers that keep nothing.
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self::from_bytes(&Zeroizing::new(random::bytes()?)))
    }

    fn from_bytes(bytes: &Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice());
        let sealing = hmac::sign(&root, b"watchpost seal 1");
        let aead = UnboundKey::new(&AES_256_GCM, sealing.as_ref()).map(LessSafeKey::new);
        let aead = aead.expect("invariant: a SHA-256 is as long as an AES-256 key");
        let mut mark = [0; 16];
        mark.copy_from_slice(&hmac::sign(&root, b"watchpost mark 1").as_ref()[..16]);
        Self { aead, mark }
    }

    /// By what the key is recognised; tells nothing about it. Kept in the database, so that a server with another key
    /// says so when it starts and not when somebody cannot log in.
    #[must_use]
    pub const fn mark(&self) -> &[u8; 16] {
        &self.mark
    }

    /// Seals; `purpose` must be given again to open.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let nonce: [u8; NONCE_BYTES] = random::bytes()?;
        let mut sealed = secret.to_vec();
        let tag = self.aead.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(purpose.as_bytes()),
            &mut sealed,
        );
        // Fails only beyond 64 GiB.
        let tag = tag.map_err(|_| NoRandomness)?;
        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len() + tag.as_ref().len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes.extend_from_slice(tag.as_ref());
        Ok(bytes)
    }

    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let (&version, rest) = sealed.split_first().ok_or(DoesNotOpen)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(DoesNotOpen)?;
        if version != VERSION {
            return Err(DoesNotOpen);
        }
        let mut bytes = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.aead.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut bytes);
        let len = opened.map_err(|_| DoesNotOpen)?.len();
        bytes.truncate(len);
        Ok(bytes)
    }
}

fn read(path: &Path) -> Result<SealKey, KeyError> {
    let fault = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => KeyError::Io { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(fault)?;
    // The file that was opened is asked, not its name: nobody changes it in between.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(fault)?.permissions().mode() & 0o777;
        if mode & FORBIDDEN_MODE != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(fault)?;
    let bytes = parse(&text).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })?;
    Ok(SealKey::from_bytes(&bytes))
}

fn parse(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digits = std::str::from_utf8(text).ok()?.trim_end().strip_prefix(FILE_BEGIN)?;
    if digits.len() != 2 * KEY_BYTES || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Written whole under another name and then linked, which fails where somebody was faster: a key is never half there
/// and never replaced.
fn make(path: &Path) -> Result<(), KeyError> {
    let fault = |source: io::Error| KeyError::Io { path: path.to_owned(), source };
    let bytes: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(random::bytes()?);
    let line = Zeroizing::new(format!("{FILE_BEGIN}{}\n", Zeroizing::new(hex(bytes.as_slice())).as_str()));
    let draft = path.with_extension(format!("key.{}", random::base62(8)?));
    let written = write_new(&draft, line.as_bytes()).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        answer => answer,
    });
    let removed = fs::remove_file(&draft);
    written.and(removed).map_err(fault)?;
    // So that the name survives the loss of power too: a seed sealed with a lost key is lost.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::folder::Folder;

    fn chmod(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_only() {
        let key = SealKey::random().expect("the system has randomness");
        let sealed = key.seal("totp 1", b"seed").expect("it seals");
        assert_eq!(key.open_sealed("totp 1", &sealed).as_deref().map(Vec::as_slice), Ok(&b"seed"[..]));
        assert_eq!(key.open_sealed("totp 2", &sealed), Err(DoesNotOpen));
        assert_eq!(SealKey::random().expect("randomness").open_sealed("totp 1", &sealed), Err(DoesNotOpen));
        assert_ne!(key.seal("totp 1", b"seed").expect("it seals"), sealed, "two seals of one secret differ");
    }

    #[test]
    fn a_changed_or_cut_seal_does_not_open() {
        let key = SealKey::random().expect("the system has randomness");
        let sealed = key.seal("p", b"secret").expect("it seals");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open_sealed("p", &changed), Err(DoesNotOpen), "byte {at}");
            assert_eq!(key.open_sealed("p", &sealed[..at]), Err(DoesNotOpen), "cut at {at}");
        }
    }

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new("seal");
        let path = folder.path().join("secret.key");
        let missing = SealKey::open(&path, OpenMode::MustExist).expect_err("nobody made it");
        assert!(matches!(missing, KeyError::Missing { .. }), "{missing}");

        let marks: Vec<[u8; 16]> = std::thread::scope(|scope| {
            let open = || *SealKey::open(&path, OpenMode::MakeIfMissing).expect("it is made").mark();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        assert!(marks.iter().all(|mark| *mark == marks[0]), "all have one key");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "no draft is left");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = Folder::new("seal-mode");
        let path = folder.path().join("secret.key");
        SealKey::open(&path, OpenMode::MakeIfMissing).expect("it is made");
        for (mode, fine) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o640, true),
            (0o644, false),
            (0o604, false),
            (0o620, false),
            (0o601, false),
        ] {
            chmod(&path, mode);
            let opened = SealKey::open(&path, OpenMode::MakeIfMissing);
            assert_eq!(opened.is_ok(), fine, "{mode:o}");
            if let Err(error) = opened {
                assert!(matches!(error, KeyError::Open { .. }), "{error}");
            }
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_not_shown() {
        let folder = Folder::new("seal-text");
        for text in [
            "",
            "hunter2",
            "watchpost-key-1 ",
            "watchpost-key-2 00",
            &format!("{FILE_BEGIN}{}", "g".repeat(64)),
            &format!("{FILE_BEGIN}{}", "0".repeat(63)),
            &format!("{FILE_BEGIN}{}", "0".repeat(65)),
            &"0".repeat(4096),
        ] {
            let path = folder.write("other.key", text);
            chmod(&path, 0o600);
            let error = SealKey::open(&path, OpenMode::MakeIfMissing).expect_err("no key");
            assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        let error =
            SealKey::open(&folder.path().join("no/secret.key"), OpenMode::MakeIfMissing).expect_err("no folder");
        assert!(error.to_string().contains("no/secret.key"), "{error}");
    }

    #[test]
    fn the_example_of_the_page_opens() {
        let page = include_str!("../../../docs/formats/secret-key.md");
        let line = page.lines().find(|line| line.starts_with(FILE_BEGIN)).expect("the page shows a file");
        let key = SealKey::from_bytes(&parse(line.as_bytes()).expect("it is one"));
        let field = |name: &str| {
            let row = page.lines().find_map(|line| line.strip_prefix(name)).expect("the page has it");
            row.trim().to_owned()
        };
        assert_eq!(hex(key.mark()), field("mark:"));
        let sealed = field("sealed:");
        let bytes: Vec<u8> =
            (0..sealed.len() / 2).map(|at| u8::from_str_radix(&sealed[2 * at..2 * at + 2], 16).expect("hex")).collect();
        let opened = key.open_sealed(&field("purpose:"), &bytes).expect("it opens");
        assert_eq!(opened.as_slice(), field("secret:").as_bytes());
        assert!(!format!("{key:?}").contains(&line[16..]));
    }
}
