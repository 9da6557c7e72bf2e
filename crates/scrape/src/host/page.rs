//! The text that the host's parts write: families and their samples.

use std::io::Write as _;

/// A growing exposition. Samples belong to the family that was begun last.
pub(super) struct Page<'a> {
    out: &'a mut Vec<u8>,
    name: String,
}

impl<'a> Page<'a> {
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, name: String::new() }
    }

    pub(super) const fn mark(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written since the mark.
    pub(super) fn back_to(&mut self, mark: usize) {
        self.out.truncate(mark);
    }

    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        name.clone_into(&mut self.name);
        // Writing to memory cannot fail.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.out.extend_from_slice(self.name.as_bytes());
        for (index, (name, value)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { b'{' } else { b',' });
            let _ = write!(self.out, "{name}=\"");
            for byte in value.bytes() {
                match byte {
                    b'\\' | b'"' => self.out.extend_from_slice(&[b'\\', byte]),
                    b'\n' => self.out.extend_from_slice(b"\\n"),
                    _ => self.out.push(byte),
                }
            }
            self.out.push(b'"');
        }
        if !labels.is_empty() {
            self.out.push(b'}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

/// What is not as the kernel writes it.
pub(super) fn odd(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{what} is not as it is expected to be"))
}
