//! What a stack's profile says of one DVIPA, as far as the distributor is concerned.
#![forbid(unsafe_code)]

use super::rule::Rule;
use crate::profile::DvipaDefinition;
use crate::profile::Moveable;
use crate::profile::Role;

/// One stack's VIPADEFINE or VIPABACKUP of one DVIPA, with its VIPADISTRIBUTE statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Owner or backup, with its rank.
    pub role: Role,
    /// When another VIPADEFINE may take the DVIPA from this one.
    pub moveable: Moveable,
    /// Whether the stack makes the DVIPA active when nobody has it: VIPADEFINE, and VIPABACKUP with
    /// MOVEABLE and an address mask. A plain VIPABACKUP only takes over.
    pub creates: bool,
    /// Its own rules; none on a backup = those of the owner before it go on.
    pub rules: Vec<Rule>,
}

impl From<&DvipaDefinition> for Claim {
    fn from(definition: &DvipaDefinition) -> Self {
        let DvipaDefinition { role, moveable, creates, distributions, .. } = definition;
        Self {
            role: *role,
            moveable: *moveable,
            creates: *creates || *role == Role::Define,
            rules: distributions.iter().map(Rule::from).collect(),
        }
    }
}
