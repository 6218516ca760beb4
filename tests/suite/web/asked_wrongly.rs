//! Questions that have no answer: each is told what is wrong, and what to do.

use super::*;

#[test]
fn what_is_asked_wrongly_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    Stack::connect(served.facility(), "SYS1.TCPIP").member(list(1));
    let at = "/v1/structures/EZBEPORT1121";
    let long = format!("{at}/connectors/{}", "A".repeat(3_000));
    let table: &[(&str, &str, u16, &str)] = &[
        ("GET", "/v1/nothing", 404, "unknown-path"),
        ("GET", "/v1/structures/EZBEPORT", 404, "unknown-structure"),
        ("GET", "/v1/structures/%ff", 400, "bad-request"),
        ("GET", &format!("{at}/lists/10.9.9.9/tcp"), 404, "unknown-list"),
        ("GET", &format!("{at}/lists/10.9.9/tcp"), 400, "bad-request"),
        ("GET", &format!("{at}/lists/0.0.0.0/tcp"), 404, "unknown-list"),
        ("GET", &format!("{at}/lists/10.1.1.1/sctp"), 400, "bad-request"),
        ("GET", &format!("{at}/lists/10.1.1.1/tcp/ports/65536"), 400, "bad-request"),
        ("GET", &format!("{at}/lists/10.1.1.1/tcp/ports/+1"), 400, "bad-request"),
        ("GET", &format!("{at}/lists?limit=0"), 400, "bad-request"),
        ("GET", &format!("{at}/lists?limit=1025"), 400, "bad-request"),
        ("GET", &format!("{at}/lists?state=half"), 400, "bad-request"),
        ("GET", &format!("{at}/lists?colour=red"), 400, "bad-request"),
        ("GET", &format!("{at}/status?x"), 400, "bad-request"),
        ("GET", &format!("{at}/connectors/NOBODY"), 404, "unknown-connector"),
        ("GET", &format!("{at}/connectors/a%2Fb"), 400, "bad-request"),
        ("GET", &long, 400, "bad-request"),
        ("GET", &format!("{at}/events?detail=all"), 400, "bad-request"),
        ("POST", &format!("{at}/lists"), 405, "method-not-allowed"),
        ("DELETE", &format!("{at}/lists/10.1.1.1/tcp"), 405, "method-not-allowed"),
        ("PUT", "/v1/openapi.json", 405, "method-not-allowed"),
    ];
    for (method, path, status, code) in table {
        let got = served.ask(method, path, &[]);
        assert_eq!(got.status, *status, "{method} {path}: {}", got.body);
        assert_eq!(got.header("content-type"), Some("application/problem+json"), "{path}");
        let problem: Value = serde_json::from_str(&got.body).expect("JSON");
        assert_eq!(problem["type"], format!("urn:portplex:problem:{code}"), "{path}");
        assert_eq!(problem["status"], *status);
        assert!(got.body.len() < 600, "what was asked is not repeated at length: {}", got.body);
        if *status == 405 {
            assert!(got.header("allow").is_some_and(|allowed| allowed.contains("GET")), "{path}");
        }
    }
    let bad = served.ask("GET", &format!("{at}/events"), &[("last-event-id", "-1")]);
    assert_eq!(bad.status, 400, "{}", bad.body);
    served.stop();
}

#[test]
fn the_page_and_its_parts_come_from_here_and_run_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let page = served.get("/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let tag = page.header("etag").expect("a tag").to_owned();
    assert_eq!(served.ask("GET", "/", &[("if-none-match", &tag)]).status, 304);
    let named = page.body.split('"').filter(|part| part.starts_with("/page/"));
    let imported = |text: &str| -> Vec<String> {
        let parts = text.split('"').filter(|part| part.starts_with("./"));
        parts.map(|part| part.replacen("./", "/page/", 1)).collect()
    };
    let mut parts: Vec<String> = named.map(str::to_owned).collect();
    let mut place = 0;
    while place < parts.len() {
        let got = served.get(&parts[place]);
        assert_eq!(got.status, 200, "{}", parts[place]);
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        if parts[place].ends_with(".js") {
            let more: Vec<String> = imported(&got.body).into_iter().filter(|part| !parts.contains(part)).collect();
            parts.extend(more);
        }
        place += 1;
    }
    assert!(parts.len() >= 7, "{parts:?}");
    served.stop();
}
