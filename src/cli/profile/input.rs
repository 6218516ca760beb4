//! Profiles from files: a first one, and those that are obeyed after it.
#![forbid(unsafe_code)]

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::ident::StructureName;
use crate::profile;
use crate::profile::Diagnostic;
use crate::profile::LENGTH_MAX;
use crate::profile::Profile;
use crate::profile::Severity;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

/// One file that was read, and what is to be said about it.
pub(crate) struct Text {
    /// The path as it was typed.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads a profile and the data sets that are obeyed after it, in order.
pub(crate) fn read(file: &Path, obey: &[PathBuf]) -> Result<(Profile, Vec<Text>), Failure> {
    let bytes = bytes_of(file)?;
    let (mut profile, diagnostics) = profile::parse(&bytes);
    let mut texts = vec![Text { name: file.display().to_string(), bytes, diagnostics }];
    for path in obey {
        let bytes = bytes_of(path)?;
        let (next, diagnostics) = profile.obey(&bytes);
        profile = next;
        texts.push(Text { name: path.display().to_string(), bytes, diagnostics });
    }
    Ok((profile, texts))
}

/// The bytes of a file, at most one more than a profile may have.
#[allow(clippy::disallowed_methods, reason = "profiles are read from wherever the user has them")]
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LENGTH_MAX as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::told(Exit::StorageFailed, format!("{}: cannot be read: {error}", path.display())))?;
    Ok(bytes)
}

/// The stack whose profile a file is, by its name: `sys1.profile` is that of `sys1.TCPIP`,
/// `prod.tcpip.profile` that of `prod.tcpip`. `None` if the file has no name, or none in UTF-8.
pub(crate) fn stack_named(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_str()?;
    Some(if stem.contains('.') { stem.to_owned() } else { format!("{stem}.TCPIP") })
}

/// Whether there is an error among the diagnostics.
pub(crate) fn has_errors(texts: &[Text]) -> bool {
    texts.iter().flat_map(|text| &text.diagnostics).any(|found| found.severity == Severity::Error)
}

/// The structure that a profile's stack connects to.
pub(crate) fn structure_of(profile: &Profile, vtam_group: Option<u8>) -> Result<StructureName, Failure> {
    profile.structure_name(vtam_group).map_err(|error| Failure::told(Exit::Usage, error.to_string()))
}
