//! The `file_sd_configs` block.

use std::time::Duration;

use yaml::{At, Context, Spanned};

yaml::record! {
    /// Files with lists of targets, in YAML or JSON.
    #[yaml(check = FileSdConfig::check)]
    pub struct FileSdConfig {
        /// Paths; the last part may have a `*`.
        pub files: Vec<Spanned<String>>,
        /// How often they are read even when no change was noticed.
        pub refresh_interval: Duration = Duration::from_secs(300),
    }
}

impl FileSdConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.files.is_empty() {
            cx.problem(at.map(), "file service discovery config must contain at least one path name");
        }
        for file in self.files.iter().filter(|file| !is_pattern(&file.value)) {
            cx.problem(&file.place, format!("path name {:?} is not valid for file discovery", file.value));
        }
    }
}

/// Stars only in the last part; a suffix says the format.
fn is_pattern(path: &str) -> bool {
    let known = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let Some(stem) = known.iter().find_map(|suffix| path.strip_suffix(suffix)) else { return false };
    match stem.split_once('*') {
        Some((_, after)) => !after.contains('/'),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_its_format_and_has_stars_in_its_last_part_only() {
        for (path, valid) in [
            ("a.json", true),
            ("foo/*.slow.yml", true),
            ("/a/b-*.YAML", true),
            ("*/a.yml", false),
            ("a**.yml", true),
            ("a.txt", false),
            ("a", false),
        ] {
            assert_eq!(is_pattern(path), valid, "{path}");
        }
        let none = yaml::from_str::<FileSdConfig>("a.yml", "files: []").expect_err("no file").to_string();
        assert!(none.contains("must contain at least one path name"), "{none}");
        let wrong = yaml::from_str::<FileSdConfig>("a.yml", "files: [a.txt]").expect_err("no format").to_string();
        assert_eq!(wrong, "a.yml:1:9: path name \"a.txt\" is not valid for file discovery");
        let good = yaml::from_str::<FileSdConfig>("a.yml", "files: [a.json]\nrefresh_interval: 10m").expect("fits");
        assert_eq!(good.refresh_interval, Duration::from_secs(600));
    }
}
