//! Looking at records without decoding them.
#![forbid(unsafe_code)]

use super::events::GROUP_OFFSET;
use super::events::Skim;
use super::events::skim;
use crate::ident::GroupNumber;

/// Whether a payload may have something about a group: a record that names it, one that is about more
/// than groups, or with `ready` the end of a quarantine. What makes no sense may have.
#[must_use]
pub fn may_name(payload: &[u8], group: GroupNumber, ready: bool) -> bool {
    let mut left = payload;
    while let Some(kind) = left.first() {
        let Some((what, stamp, size)) = skim(*kind) else { return true };
        let Some((record, behind)) = left.split_at_checked(size) else { return true };
        let is_about = match what {
            Skim::Group => {
                let found = record[1 + stamp + GROUP_OFFSET..].first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
                found.is_none_or(|found| found == group.number())
            }
            Skim::Ready => ready,
            Skim::Other => true,
        };
        if is_about {
            return true;
        }
        left = behind;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::Lsn;
    use crate::ident::PortMask;
    use crate::record::encode;
    use crate::structure::{Change, Event, Stamp};

    #[test]
    fn a_record_of_another_group_is_passed_over_and_every_other_one_is_not() {
        let group = |number| GroupNumber::new(number).expect("a group");
        let stamps = [Stamp::None, Stamp::First { number: 9, below: 2, hash: u64::MAX }, Stamp::Next { number: 3 }];
        for stamp in stamps {
            for mask in [PortMask::ALL, PortMask(1 << 9)] {
                let (member, grant) = (700, Lsn(5));
                let named = [
                    Change::Granted { member, group: group(5), mask },
                    Change::Released { member, group: group(5), grant, mask },
                    Change::Revoked { member, group: group(5), grant, mask },
                    Change::Adopted { member, group: group(5), grant, mask },
                ];
                for change in named {
                    let mut payload = Vec::new();
                    let ready = Event { stamp: Stamp::None, change: Change::Ready { list: 5, up_to: Lsn(5) } };
                    encode(&ready, &mut payload);
                    encode(&Event { stamp, change: change.clone() }, &mut payload);
                    assert!(may_name(&payload, group(5), false), "{change:?}");
                    assert!(!may_name(&payload, group(700), false), "{change:?}");
                    assert!(may_name(&payload, group(700), true), "{change:?}");
                    assert!(may_name(&payload[..payload.len() - 1], group(700), false), "cut short");
                    let left = Event { stamp: Stamp::None, change: Change::Left { member } };
                    encode(&left, &mut payload);
                    assert!(may_name(&payload, group(700), false), "another kind");
                }
            }
        }
    }
}
