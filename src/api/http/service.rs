//! What the service is measured by, whatever it hosts.
#![forbid(unsafe_code)]

use super::exposition::Exposition;
use super::families::Family;
use crate::api::meters::Barred;
use crate::api::meters::CODES;
use crate::api::meters::DoorKind;
use crate::api::meters::HTTP_PATHS;
use crate::api::meters::HTTP_STATUSES;
use crate::api::meters::ServiceMeters;
use crate::api::meters::Turned;

pub(super) fn add(exposition: &mut Exposition, meters: &ServiceMeters) {
    exposition.flag(Family::BuildInfo, &[env!("CARGO_PKG_VERSION")], true);
    exposition.flag(Family::Draining, &[], meters.is_draining());
    for (door, name) in DoorKind::ALL {
        let (open, accepted) = meters.connections(door);
        exposition.whole(Family::Connections, &[name], open);
        exposition.whole(Family::ConnectionsAccepted, &[name], accepted);
    }
    for (why, name) in Turned::ALL {
        exposition.whole(Family::ConnectionsRefused, &[name], meters.turned(why));
    }
    let [streams, watchers, waiting] = meters.open_now();
    exposition.whole(Family::Streams, &[], streams);
    exposition.whole(Family::WatchStreams, &[], watchers);
    exposition.whole(Family::StreamCalls, &[], waiting);
    for method in meters.methods() {
        exposition.whole(Family::CallsInFlight, &[&method.name], method.in_flight());
        // A method has the series of OK from the start, of others once it ended so: most never happen.
        for (code, name) in CODES.iter().enumerate() {
            let ended = method.ended(code);
            if code == 0 || ended > 0 {
                exposition.whole(Family::Calls, &[&method.name, name], ended);
            }
        }
    }
    for (why, name) in Barred::ALL {
        exposition.whole(Family::CallsRefused, &[name], meters.barred(why));
    }
    for (path, name) in HTTP_PATHS.iter().enumerate() {
        for (place, status) in HTTP_STATUSES.iter().enumerate() {
            let count = meters.http(path, place);
            let status = if *status == 0 { "other".to_owned() } else { status.to_string() };
            if count > 0 {
                exposition.whole(Family::HttpRequests, &[name, &status], count);
            }
        }
    }
}
