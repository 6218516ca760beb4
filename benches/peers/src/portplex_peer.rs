//! Portplex as a service over loopback. Its quarantine is a second, the shortest that a list may have.

use crate::embedded::{held, stack, target};
use crate::server::{Server, free_address};
use crate::work::{Caller, DVIPAS, Peer};
use portplex::api::{Door, RemoteFacility, RemoteOptions};
use portplex::facility::Facility;
use portplex::ident::StructureName;
use portplex::structure::Policy;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

struct Service {
    server: Server,
    runtime: Runtime,
}

pub fn start(dir: &Path) -> Result<Box<dyn Peer>, String> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/portplex");
    let program = std::env::var_os("PORTPLEX_BIN").map_or(built, PathBuf::from);
    if !program.is_file() {
        return Err(format!("{} is not there: cargo build --release, or set PORTPLEX_BIN", program.display()));
    }
    let address = free_address();
    let mut command = Command::new(program);
    command.args(["serve", "--init", "--data"]).arg(dir.join("store")).args(["--listen", &address.to_string()]);
    let server = Server::start(&mut command, address)?;
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let service = Service { server, runtime };
    let operator = service.remote();
    for dvipa in 0..DVIPAS {
        operator.define(target(dvipa)).map_err(|error| error.to_string())?;
        let policy = Policy { quarantine_ms: 1_000, ..Policy::default() };
        operator.set_policy(target(dvipa), policy).map_err(|error| error.to_string())?;
    }
    Ok(Box::new(service))
}

impl Service {
    fn remote(&self) -> Arc<RemoteFacility> {
        let mut options = RemoteOptions::default();
        (options.patience, options.runtime) = (Duration::from_secs(20), Some(self.runtime.handle().clone()));
        let door = Door::Tcp(self.server.address);
        Arc::new(RemoteFacility::connect(&door, StructureName::default(), options).expect("it answers"))
    }
}

impl Peer for Service {
    fn caller(&self, number: u32) -> Box<dyn Caller> {
        stack(self.remote(), number)
    }

    fn held(&self) -> u64 {
        held(&*self.remote())
    }
}
