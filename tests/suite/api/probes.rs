//! What tools that know nothing of portplex find: health, and the contract itself.

use super::{Kind, Service};
use portplex::api::Door;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

async fn channel(door: &Door) -> Channel {
    Endpoint::from_shared(door.to_string()).expect("a door").connect().await.expect("connects")
}

#[test]
fn health_and_the_contract_can_be_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path(), Kind::Tcp);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut health = HealthClient::new(channel(&service.door).await);
        for service in ["", "portplex.v1.Stacks", "portplex.v1.Structures"] {
            let asked = HealthCheckRequest { service: service.to_owned() };
            let told = health.check(asked).await.expect("answered").into_inner();
            assert_eq!(told.status(), ServingStatus::Serving, "{service:?}");
        }
        let mut reflection = ServerReflectionClient::new(channel(&service.door).await);
        let list = MessageRequest::ListServices(String::new());
        let asked = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
        let answers = reflection.server_reflection_info(tokio_stream::once(asked)).await.expect("answered");
        let told = answers.into_inner().message().await.expect("answered").expect("one answer");
        let Some(MessageResponse::ListServicesResponse(list)) = told.message_response else { panic!("no list") };
        let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
        for name in ["portplex.v1.Stacks", "portplex.v1.Structures"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
    });
}
