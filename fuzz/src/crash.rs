//! The crash harness's parts that the crash target needs.
#![allow(dead_code)]

#[path = "../../tests/suite/crash/judge.rs"]
pub mod judge;
#[path = "../../tests/suite/crash/model.rs"]
pub mod model;
#[path = "../../tests/suite/crash/plan.rs"]
pub mod plan;
#[path = "../../tests/suite/crash/upkeep.rs"]
mod upkeep;
#[path = "../../tests/suite/crash/workload.rs"]
pub mod workload;
