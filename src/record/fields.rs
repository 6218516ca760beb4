//! The fields that records and rows share, and the one configuration of bincode.
#![forbid(unsafe_code)]

use crate::ident::BootId;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::MachineId;
use crate::ident::PortMask;
use crate::ident::ProcessId;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::{Policy, PortRange, StopCause};
use bincode::{DefaultOptions, Options};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No record or row is larger, whatever its bytes say.
const SIZE_LIMIT: u64 = 64 * 1_024;

/// The name of a field that cannot be what the bytes say.
pub(super) type Impossible = &'static str;

/// Connector name: length, then 64 bytes, zero-padded.
pub(super) type NameField = (u8, [[u8; 32]; 2]);
/// Target: 0 TCP list, 1 UDP list, 2 TCP pool, 3 UDP pool; the address, zero for a pool.
pub(super) type TargetField = (u8, [u8; 16]);
/// Identity: machine, boot, process.
pub(super) type IdentityField = (u128, u128, u64);
/// Policy: quota, reserve, quarantine ms, clean-up ms.
pub(super) type PolicyField = (u32, u16, u32, u64);

fn options() -> impl Options {
    DefaultOptions::new().with_fixint_encoding().with_little_endian().with_limit(SIZE_LIMIT).reject_trailing_bytes()
}

/// Appends `value` to `out`.
pub(super) fn put<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    options().serialize_into(out, value).expect("a fixed-size value below the limit goes into memory");
}

/// Reads a value from exactly `bytes`.
pub(super) fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Impossible> {
    options().deserialize(bytes).map_err(|_| "field")
}

pub(super) fn name_field(name: &ConnectorName) -> NameField {
    let text = name.as_str().as_bytes();
    let mut bytes = [0; ConnectorName::LENGTH_MAX];
    bytes[..text.len()].copy_from_slice(text);
    let (first, second) = bytes.split_at(32);
    let half = |slice: &[u8]| slice.try_into().expect("half of 64 bytes");
    (u8::try_from(text.len()).expect("a name has at most 64 bytes"), [half(first), half(second)])
}

pub(super) fn name((length, halves): NameField) -> Result<ConnectorName, Impossible> {
    let bytes = halves.as_flattened();
    let text = bytes.get(..usize::from(length)).ok_or("name length")?;
    let text = std::str::from_utf8(text).map_err(|_| "name")?;
    ConnectorName::new(text).map_err(|_| "name")
}

/// A name or none: length 0 and no byte.
pub(super) fn some_name_field(name: Option<&ConnectorName>) -> NameField {
    name.map_or((0, [[0; 32]; 2]), name_field)
}

pub(super) fn some_name(field: NameField) -> Result<Option<ConnectorName>, Impossible> {
    if field.0 == 0 { Ok(None) } else { name(field).map(Some) }
}

pub(super) fn stop_cause_field(cause: StopCause) -> u8 {
    match cause {
        StopCause::PowerLoss => 0,
        StopCause::DataLost => 1,
        StopCause::Restored => 2,
    }
}

pub(super) fn stop_cause(number: u8) -> Result<StopCause, Impossible> {
    match number {
        0 => Ok(StopCause::PowerLoss),
        1 => Ok(StopCause::DataLost),
        2 => Ok(StopCause::Restored),
        _ => Err("cause"),
    }
}

pub(super) fn transport(number: u8) -> Result<Transport, Impossible> {
    Transport::ALL.get(usize::from(number)).copied().ok_or("transport")
}

pub(super) fn transport_field(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 0,
        Transport::Udp => 1,
    }
}

/// Pools are numbered behind the lists.
const POOL: u8 = 2;

pub(super) fn target_field(target: Target) -> TargetField {
    match target {
        Target::List(dvipa, transport) => (transport_field(transport), dvipa.to_bytes()),
        Target::Pool(transport) => (POOL + transport_field(transport), [0; 16]),
    }
}

pub(super) fn target((space, address): TargetField) -> Result<Target, Impossible> {
    match space.checked_sub(POOL) {
        None => Ok(Target::List(Dvipa::from_bytes(address).map_err(|_| "address")?, transport(space)?)),
        Some(space) => Ok(Target::Pool(transport(space)?)),
    }
}

pub(super) fn identity_field(identity: &Identity) -> IdentityField {
    (identity.machine.0, identity.boot.0, identity.process.0)
}

pub(super) fn identity((machine, boot, process): IdentityField) -> Identity {
    Identity { machine: MachineId(machine), boot: BootId(boot), process: ProcessId(process) }
}

pub(super) fn policy_field(policy: &Policy) -> PolicyField {
    (policy.quota, policy.reserve, policy.quarantine_ms, policy.clean_up_ms)
}

pub(super) fn policy((quota, reserve, quarantine_ms, clean_up_ms): PolicyField) -> Policy {
    Policy { quota, reserve, quarantine_ms, clean_up_ms }
}

pub(super) fn group(number: u16) -> Result<GroupNumber, Impossible> {
    GroupNumber::new(number).ok_or("group")
}

/// The mask of a kind that stores one: neither none nor all, which has its own kind.
pub(super) fn part_mask(bits: u64) -> Result<PortMask, Impossible> {
    match PortMask(bits) {
        PortMask::NONE | PortMask::ALL => Err("mask"),
        mask => Ok(mask),
    }
}

pub(super) fn range(first: u16, count: u16) -> Result<PortRange, Impossible> {
    let end = u32::from(first) + u32::from(count);
    if first == 0 || count == 0 || end > 65_536 { Err("range") } else { Ok(PortRange { first, count }) }
}
