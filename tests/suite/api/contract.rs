//! What was made from the contract is what the contract says.

use prost::Message;
use std::fs;
use std::path::{Path, PathBuf};

const PROTO: &str = "portplex.v1.proto";

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api")
}

/// With `PORTPLEX_WRITE_API=1` it is made anew instead: then look at what changed.
#[test]
fn messages_services_and_descriptor_are_those_of_the_contract() {
    let described = protox::compile([PROTO], [place()]).expect("the contract is well formed");
    let descriptor = described.encode_to_vec();
    let out = tempfile::tempdir().expect("a directory");
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(out.path())
        .compile_fds(described)
        .expect("messages are made");
    let made = fs::read_to_string(out.path().join("portplex.v1.rs")).expect("they were written");
    if std::env::var_os("PORTPLEX_WRITE_API").is_some() {
        fs::write(place().join("portplex.v1.rs.in"), &made).expect("written");
        fs::write(place().join("portplex.v1.bin"), &descriptor).expect("written");
    }
    let held = fs::read_to_string(place().join("portplex.v1.rs.in")).expect("a file of the project");
    let hint = "run this test with PORTPLEX_WRITE_API=1";
    assert!(made == held, "portplex.v1.rs.in is not what the contract makes: {hint}");
    assert!(descriptor == portplex::api::v1::DESCRIPTOR, "portplex.v1.bin is not the contract: {hint}");
}

#[test]
fn every_enum_of_the_contract_begins_with_unspecified() {
    let text = fs::read_to_string(place().join(PROTO)).expect("a file of the project");
    let mut enums = 0;
    for body in text.split("\nenum ").skip(1) {
        let zero = body.lines().find(|line| line.trim_end().ends_with(" = 0;")).expect("it has a zero");
        assert!(zero.contains("_UNSPECIFIED"), "{zero}");
        enums += 1;
    }
    assert_eq!(enums, 6);
}
