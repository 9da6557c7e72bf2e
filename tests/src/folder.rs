//! A folder of a test's own, gone when the test is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty folder under the system's one for temporary files, removed on drop.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder; `name` is for whoever finds it after a crash.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wp-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("invariant: a test may write to the temporary folder");
        Self(path)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path inside, as text.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// Writes a file inside, with the folders above it, and returns where it is.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        let above = path.parent().unwrap_or(&self.0);
        std::fs::create_dir_all(above).expect("invariant: a test may write to its folder");
        std::fs::write(&path, text).expect("invariant: a test may write to its folder");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_or_left_for_the_system = std::fs::remove_dir_all(&self.0);
    }
}
