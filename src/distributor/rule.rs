//! One VIPADISTRIBUTE as a rule, and the weights it works with.
#![forbid(unsafe_code)]

use crate::ident::Dvipa;
use crate::profile::Destination;
use crate::profile::Destinations;
use crate::profile::DistMethod;
use crate::profile::Distribution;
use crate::profile::Part;
use std::net::IpAddr;

/// One VIPADISTRIBUTE DEFINE (IP Configuration Reference).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// DISTMETHOD.
    pub method: DistMethod,
    /// HOTSTANDBY's switches.
    pub standby: Standby,
    /// Ports, first and last inclusive; none = every port that a target listens on.
    pub ports: Vec<(u16, u16)>,
    /// DESTIP.
    pub destinations: Destinations,
    /// TIMEDAFFINITY, s, 0 to 9,999; 0 = off.
    pub timed_affinity_s: u16,
    /// OPTLOCAL, 0 to 16: 0 and 1 keep a connection on the target it comes from, a higher value
    /// multiplies that target's weight before it is compared with the best of the others. `None` =
    /// NOOPTLOCAL.
    pub optlocal: Option<u8>,
}

/// What HOTSTANDBY does when a target comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standby {
    /// AUTOSWITCHBACK: the preferred target takes over again as soon as it can.
    pub auto_switch_back: bool,
    /// HEALTHSWITCH: a target with health 0 counts as gone.
    pub health_switch: bool,
}

impl Default for Standby {
    /// AUTOSWITCHBACK and HEALTHSWITCH.
    fn default() -> Self {
        Self { auto_switch_back: true, health_switch: true }
    }
}

/// How much a target can take, as its workload manager says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// WLM weight, 0 to 64, or the weight that the target itself gives; `None` = not known.
    pub weight: Option<u8>,
    /// Health, 0 to 100 %: server responsiveness (TSR), abnormal ends and the program's own word in
    /// one figure. It scales the weight; at 0 next to nothing is sent while another target is better.
    pub health_percent: u8,
}

impl Default for Load {
    /// No weight, perfectly healthy.
    fn default() -> Self {
        Self { weight: None, health_percent: 100 }
    }
}

/// WEIGHT where nothing was said.
const WEIGHT_DEFAULT: u8 = 10;

impl From<&Distribution> for Rule {
    fn from(distribution: &Distribution) -> Self {
        let Distribution { method, ports, destinations, timed_affinity_s, optlocal, tuning, .. } = distribution;
        let default = Standby::default();
        Self {
            method: *method,
            standby: Standby {
                auto_switch_back: tuning.auto_switch_back.unwrap_or(default.auto_switch_back),
                health_switch: tuning.health_switch.unwrap_or(default.health_switch),
            },
            ports: ports.clone(),
            destinations: destinations.clone(),
            timed_affinity_s: *timed_affinity_s,
            optlocal: *optlocal,
        }
    }
}

impl Rule {
    /// Whether it names the port.
    #[must_use]
    pub fn names(&self, port: u16) -> bool {
        self.ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    /// A stack's part in it, by the stack's dynamic XCF addresses; `None` if it is no target. DESTIP
    /// ALL takes every stack with a dynamic XCF address of the DVIPA's IP version, also those that
    /// come later. The place orders targets as the statement does.
    pub(super) fn part(&self, dvipa: Dvipa, xcf: &[IpAddr]) -> Option<(usize, Part)> {
        match &self.destinations {
            Destinations::All => {
                let same_version = |address: &IpAddr| address.is_ipv4() == dvipa.address().is_ipv4();
                xcf.iter().any(same_version).then_some((0, Part::Weight(WEIGHT_DEFAULT)))
            }
            Destinations::Some(targets) => {
                let is_there = |target: &Destination| xcf.contains(&target.address);
                let place = targets.iter().position(is_there)?;
                Some((place, targets[place].part))
            }
        }
    }
}
