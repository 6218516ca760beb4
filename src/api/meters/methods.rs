//! The methods that calls are counted by: those of the contract, whatever it comes to have, and those of
//! health and reflection.
#![forbid(unsafe_code)]

use crate::api::v1;
use prost::Message;
use prost_types::FileDescriptorSet;

/// What is served beside the contract; the last one is everything else.
pub(super) const OTHERS: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "other",
];

/// `package.Service/Method` of each method of the contract.
pub(super) fn of_the_contract() -> Vec<String> {
    let set = FileDescriptorSet::decode(v1::DESCRIPTOR).expect("a test decodes the descriptor");
    let mut names = Vec::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("portplex.")) {
        for service in &file.service {
            names.extend(
                service.method.iter().map(|method| format!("{}.{}/{}", file.package(), service.name(), method.name())),
            );
        }
    }
    names
}
