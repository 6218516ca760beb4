//! The reports as a service gives them: the JSON that `display` prints.
#![forbid(unsafe_code)]

use super::dry_run::Scene;
use super::given::Given;
use super::{conn, portlist, ports, vcrt, vdpt, vipadcfg, vipadyn};
use crate::web::Report;
use serde_json::Value;

/// One of them; `active` is for `ports` alone. The error is that of a dry run.
pub(crate) fn json(report: Report, given: &Given, active: Option<&ports::Active>) -> Result<Value, String> {
    let scene = || Scene::of(given.clone(), None);
    let name = report.name();
    Ok(match report {
        Report::Vipadcfg => vipadcfg::json(given),
        Report::Portlist => portlist::json(given),
        Report::Ports => ports::json(given, active),
        Report::Vipadyn => scene().map(|scene| scene.json(name, "dvipas", vipadyn::json(&scene)))?,
        Report::Vdpt => scene().map(|scene| scene.json(name, "stacks", vdpt::json(&scene)))?,
        Report::Vcrt => scene().map(|scene| scene.json(name, "stacks", vcrt::json(&scene)))?,
        Report::Conn => scene().map(|scene| scene.json(name, "stacks", conn::json(&scene)))?,
    })
}
