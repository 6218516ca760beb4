//! What was typed, made meaningful once: stacks with their profiles, stand-in addresses, how much
//! and how long.
#![forbid(unsafe_code)]

use super::DevArgs;
use super::error::DevError;
use super::stand_in;
use crate::cli::profile::input;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::StructureName;
use crate::profile::{self, Diagnostic, Profile, Severity};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Quarantine of a run: short, so that a person sees groups come back.
pub(super) const QUARANTINE: Duration = Duration::from_secs(3);

/// Most stacks of one run: each has a letter on the map.
pub(super) const STACKS_MAX: usize = 26;

/// Connections per second, all stacks together, unless a number is given.
const CONNECTIONS_PER_SECOND: u64 = 1_500;

/// How long a run takes unless it is said.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);

/// More than a profile may have: the rest of an endless file is not read.
const PROFILE_BYTES_MAX: u64 = (16 << 20) + 1;

/// One run.
#[derive(Debug)]
pub(super) struct Settings {
    /// The stacks, each with the DVIPAs that it takes ports of.
    pub(super) stacks: Vec<StackPlan>,
    /// Each DVIPA's stand-in.
    pub(super) stand_ins: BTreeMap<Dvipa, IpAddr>,
    /// The structure that all stacks connect to.
    pub(super) structure: StructureName,
    /// The store.
    pub(super) data: PathBuf,
    /// Connections to open, at least.
    pub(super) connections: u64,
    /// Times the facility is killed.
    pub(super) crashes: u32,
    /// How long, at least.
    pub(super) duration: Duration,
    /// What a reader of the profiles should know, with path, line and column.
    pub(super) remarks: Vec<String>,
    /// Whether the sample sysplex runs.
    pub(super) sample: bool,
}

/// One stack of a run.
#[derive(Clone, Debug)]
pub(super) struct StackPlan {
    /// Its connector's name.
    pub(super) name: ConnectorName,
    /// Its profile.
    pub(super) profile: Profile,
}

impl Settings {
    /// Reads the profiles and checks that they fit together.
    pub(super) fn new(args: &DevArgs) -> Result<Self, DevError> {
        let mut remarks = Vec::new();
        let sample = args.profiles.is_empty();
        let mut stacks = Vec::new();
        if sample {
            for (name, text) in profile::sample() {
                let plan = plan(Path::new(&format!("{name} (sample)")), name, text.as_bytes(), &mut remarks)?;
                stacks.push(plan);
            }
        }
        for path in &args.profiles {
            let text = read(path).map_err(|source| DevError::ProfileUnreadable { path: path.clone(), source })?;
            stacks.push(plan(path, &name_of(path)?, &text, &mut remarks)?);
        }
        if stacks.len() > STACKS_MAX {
            return Err(DevError::TooManyStacks { count: stacks.len(), limit: STACKS_MAX });
        }
        for (at, stack) in stacks.iter().enumerate() {
            if stacks[..at].iter().any(|other| other.name == stack.name) {
                return Err(DevError::SameName { name: stack.name.to_string() });
            }
        }
        let structure = one_structure(&stacks)?;
        let dvipas = stacks.iter().flat_map(|stack| stack.profile.sysplexports()).map(|definition| definition.dvipa);
        let stand_ins = stand_in::assign(dvipas);
        let duration = args.duration.unwrap_or(DURATION_DEFAULT);
        let by_rate = CONNECTIONS_PER_SECOND.saturating_mul(duration.as_secs().max(1));
        Ok(Self {
            stacks,
            stand_ins,
            structure,
            data: args.data.clone(),
            connections: args.connections.unwrap_or(by_rate),
            crashes: args.crashes,
            duration,
            remarks,
            sample,
        })
    }
}

fn plan(path: &Path, name: &str, text: &[u8], remarks: &mut Vec<String>) -> Result<StackPlan, DevError> {
    let reason = |reason: String| DevError::NoName { path: path.to_path_buf(), reason };
    let name = ConnectorName::new(name).map_err(|error| reason(error.to_string()))?;
    let (profile, diagnostics) = profile::parse(text);
    let line = |diagnostic: &Diagnostic| format!("{}:{diagnostic}", path.display());
    let errors: Vec<String> = diagnostics.iter().filter(|d| d.severity == Severity::Error).map(line).collect();
    if !errors.is_empty() {
        return Err(DevError::ProfileBad { path: path.display().to_string(), list: errors.join("\n") });
    }
    remarks.extend(diagnostics.iter().filter(|d| d.severity == Severity::Warning).map(line));
    if profile.sysplexports().next().is_none() {
        return Err(DevError::NoSysplexPorts { name: path.display().to_string() });
    }
    Ok(StackPlan { name, profile })
}

/// `sys1.profile` is the profile of SYS1.TCPIP.
fn name_of(path: &Path) -> Result<String, DevError> {
    let no_name = |reason: &str| DevError::NoName { path: path.to_path_buf(), reason: reason.to_owned() };
    input::stack_named(path).ok_or_else(|| no_name("there is none, or not in UTF-8"))
}

fn one_structure(stacks: &[StackPlan]) -> Result<StructureName, DevError> {
    let mut named: Option<(&StackPlan, StructureName)> = None;
    for stack in stacks {
        let name = stack.name.to_string();
        let structure = stack.profile.structure_name(None);
        let structure = structure.map_err(|error| DevError::Structure { name, reason: error.to_string() })?;
        match named {
            Some((first, first_structure)) if first_structure != structure => {
                return Err(DevError::Subplexes {
                    first: first.name.to_string(),
                    first_structure: first_structure.to_string(),
                    second: stack.name.to_string(),
                    second_structure: structure.to_string(),
                });
            }
            Some(_) => {}
            None => named = Some((stack, structure)),
        }
    }
    Ok(named.map(|(_, structure)| structure).unwrap_or_default())
}

#[allow(clippy::disallowed_methods, reason = "profiles are read from wherever the user has them")]
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(PROFILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// A duration as people write it: `10s`, `500ms`, `2m`, `1h`, or seconds without a unit.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{unit:?} is no unit: write such as 10s, 500ms, 2m or 1h")),
    };
    let number: u64 = number.parse().map_err(|_| "a number comes first: such as 10s, 500ms, 2m or 1h".to_owned())?;
    let total = number.checked_mul(milliseconds).filter(|total| (100..=86_400_000).contains(total));
    total.map(Duration::from_millis).ok_or_else(|| "a run takes 100ms to 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(ms("10s"), Ok(10_000));
        assert_eq!(ms("10"), Ok(10_000));
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("2m"), Ok(120_000));
        assert_eq!(ms("24h"), Ok(86_400_000));
        for bad in ["", "s", "-1s", "1.5s", "10x", "99ms", "25h", "18446744073709551615h", "99999999999999999999s", "é"]
        {
            assert!(ms(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stack_is_named_after_its_file() {
        assert_eq!(name_of(Path::new("/x/sys1.profile")).unwrap(), "sys1.TCPIP");
        assert_eq!(name_of(Path::new("prod.tcpip.profile")).unwrap(), "prod.tcpip");
        assert!(name_of(Path::new("/")).is_err());
    }

    #[test]
    fn a_profile_that_is_not_there_is_named() {
        let args = DevArgs { profiles: vec!["/nowhere/sys1.profile".into()], ..DevArgs::default() };
        let error = Settings::new(&args).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/sys1.profile: "), "{error}");
        assert_eq!(error.exit(), crate::cli::exit::Exit::StorageFailed);
    }
}
