//! etcd: one key for each group that is held, made in a transaction that requires that there is none.
//!
//! A stack picks a group at random and, if it is held, another: one message each way.

use crate::free::key;
use crate::server::{Server, free_address, program};
use crate::work::{Caller, GROUP_END, GROUP_FIRST, Peer};
use http::uri::PathAndQuery;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

struct Etcd {
    server: Server,
    runtime: Arc<Runtime>,
}

struct Stack {
    runtime: Arc<Runtime>,
    channel: tonic::client::Grpc<Channel>,
    number: u32,
    random: Random,
}

/// A random group each time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn group(&mut self) -> u16 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        GROUP_FIRST + ((self.0 >> 33) % u64::from(GROUP_END - GROUP_FIRST)) as u16
    }
}

pub fn start(dir: &Path) -> Result<Box<dyn Peer>, String> {
    let (address, between) = (free_address(), free_address());
    let (clients, peers) = (format!("http://{address}"), format!("http://{between}"));
    let mut command = Command::new(program("etcd", &[])?);
    command.arg("--data-dir").arg(dir.join("etcd"));
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("default={peers}")]);
    let server = Server::start(&mut command, address)?;
    let runtime = Arc::new(Runtime::new().map_err(|error| error.to_string())?);
    let etcd = Etcd { server, runtime };
    // It listens before it has elected itself.
    for attempt in 0.. {
        match etcd.count() {
            Ok(_) => break,
            Err(error) if attempt == 100 => return Err(error),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    }
    Ok(Box::new(etcd))
}

impl Etcd {
    fn channel(&self) -> tonic::client::Grpc<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.server.address)).expect("an address");
        tonic::client::Grpc::new(self.runtime.block_on(endpoint.connect()).expect("it answers"))
    }

    fn count(&self) -> Result<u64, String> {
        let range = RangeRequest { key: vec![0], range_end: vec![0], count_only: true };
        let path = "/etcdserverpb.KV/Range";
        let counted: RangeResponse = self.runtime.block_on(call(&mut self.channel(), path, range))?;
        Ok(counted.count.unsigned_abs())
    }
}

impl Peer for Etcd {
    fn caller(&self, number: u32) -> Box<dyn Caller> {
        let runtime = Arc::clone(&self.runtime);
        Box::new(Stack { runtime, channel: self.channel(), number, random: Random::new(number) })
    }

    fn held(&self) -> u64 {
        self.count().expect("it answers")
    }
}

impl Stack {
    fn transact(&mut self, compare: Compare, then: Then) -> bool {
        let request = TxnRequest { compare: vec![compare], success: vec![RequestOp { then: Some(then) }] };
        let done = call(&mut self.channel, "/etcdserverpb.KV/Txn", request);
        let response: TxnResponse = self.runtime.block_on(done).expect("it answers");
        response.succeeded
    }
}

impl Caller for Stack {
    fn take(&mut self, dvipa: u16) -> u16 {
        loop {
            let group = self.random.group();
            let key = key(dvipa, group).to_vec();
            let value = self.number.to_be_bytes().to_vec();
            let free = Compare { result: 0, target: 0, key: key.clone(), wanted: Some(Wanted::Version(0)) };
            if self.transact(free, Then::Put(PutRequest { key, value })) {
                return group;
            }
        }
    }

    fn give(&mut self, dvipa: u16, group: u16) {
        let key = key(dvipa, group).to_vec();
        let value = self.number.to_be_bytes().to_vec();
        let own = Compare { result: 0, target: 3, key: key.clone(), wanted: Some(Wanted::Value(value)) };
        assert!(self.transact(own, Then::Delete(DeleteRangeRequest { key })), "its own group");
    }
}

async fn call<Q, A>(channel: &mut tonic::client::Grpc<Channel>, path: &'static str, request: Q) -> Result<A, String>
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    channel.ready().await.map_err(|error| error.to_string())?;
    let codec = tonic_prost::ProstCodec::default();
    let answered = channel.unary(tonic::Request::new(request), PathAndQuery::from_static(path), codec).await;
    answered.map(tonic::Response::into_inner).map_err(|status| status.to_string())
}

// What is needed of etcd's interface, by its field numbers.

#[derive(Clone, PartialEq, prost::Message)]
struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    success: Vec<RequestOp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TxnResponse {
    #[prost(bool, tag = "2")]
    succeeded: bool,
}

/// `result` 0 is equal; `target` 0 the key's version, 3 its value.
#[derive(Clone, PartialEq, prost::Message)]
struct Compare {
    #[prost(int32, tag = "1")]
    result: i32,
    #[prost(int32, tag = "2")]
    target: i32,
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
    #[prost(oneof = "Wanted", tags = "4, 7")]
    wanted: Option<Wanted>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Wanted {
    #[prost(int64, tag = "4")]
    Version(i64),
    #[prost(bytes, tag = "7")]
    Value(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestOp {
    #[prost(oneof = "Then", tags = "2, 3")]
    then: Option<Then>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Then {
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    Delete(DeleteRangeRequest),
}

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeleteRangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    range_end: Vec<u8>,
    #[prost(bool, tag = "9")]
    count_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeResponse {
    #[prost(int64, tag = "4")]
    count: i64,
}
