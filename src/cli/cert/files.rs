//! New files for certificates and keys, and what is read of those of the CA.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Most bytes of one file.
const BYTES_MAX: u64 = 1 << 20;

fn failed(path: &Path, what: &str, error: &std::io::Error) -> Failure {
    Failure::told(Exit::StorageFailed, format!("{}: {what}: {error}", path.display()))
}

/// Makes the directory, which nobody else can enter, if it is not there.
pub(super) fn directory(dir: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| failed(dir, "the directory cannot be made", &error))
}

/// Refuses if one of these is there.
pub(super) fn none_is_there(paths: &[&Path]) -> Result<(), Failure> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(Failure::told(
            Exit::Refused,
            format!(
                "{}: it is there already, and nothing is written over: take another directory, or move it away",
                path.display()
            ),
        )),
        None => Ok(()),
    }
}

/// Writes a new file; a secret one is for its owner only.
pub(super) fn write_new(path: &Path, text: &str, is_secret: bool) -> Result<(), Failure> {
    let mode = if is_secret { 0o600 } else { 0o644 };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| failed(path, "cannot be written", &error))
}

#[allow(clippy::disallowed_methods, reason = "a CA is read from wherever the user has it")]
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        let way_out = match error.kind() {
            std::io::ErrorKind::NotFound => "; make the CA first: portplex cert ca",
            _ => "",
        };
        Failure::told(Exit::StorageFailed, format!("{}: cannot be read: {error}{way_out}", path.display()))
    })?;
    Ok(text)
}
