//! The description against real answers: each is of the form that `openapi.json` says. Patterns are
//! looked at by Schemathesis, in `.ci/run`.

use super::*;

fn description() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/v1/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file of the project")).expect("JSON")
}

fn resolve<'a>(all: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => all.pointer(reference.trim_start_matches('#')).expect("it is described"),
        None => schema,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What is wrong with a value, if anything is. An unknown keyword is wrong too: nothing is passed over.
fn fault(all: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    let schema = resolve(all, schema);
    for (keyword, rule) in schema.as_object().expect("a schema") {
        let wrong = match keyword.as_str() {
            "type" => {
                let allowed: Vec<&str> = match rule {
                    Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
                    one => one.as_str().into_iter().collect(),
                };
                !allowed.contains(&kind(value))
            }
            "enum" => !rule.as_array().expect("values").contains(value),
            "const" => rule != value,
            "minimum" => value.is_u64() && value.as_u64() < rule.as_u64(),
            "maximum" => value.is_u64() && value.as_u64() > rule.as_u64(),
            "minItems" => value.as_array().is_some_and(|items| (items.len() as u64) < rule.as_u64().expect("a number")),
            "maxItems" => value.as_array().is_some_and(|items| (items.len() as u64) > rule.as_u64().expect("a number")),
            "required" => {
                let names = rule.as_array().expect("names").iter().filter_map(Value::as_str);
                value.as_object().is_some_and(|object| !names.clone().all(|name| object.contains_key(name)))
            }
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false));
                let known = schema["properties"].as_object().expect("properties");
                value.as_object().is_some_and(|object| !object.keys().all(|name| known.contains_key(name)))
            }
            "properties" => {
                let known = rule.as_object().expect("properties").iter();
                let inside = known.filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
                let mut faults =
                    inside.filter_map(|(name, schema, value)| fault(all, schema, value, &format!("{place}.{name}")));
                if let Some(fault) = faults.next() {
                    return Some(fault);
                }
                false
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                let mut faults =
                    items.filter_map(|(number, item)| fault(all, rule, item, &format!("{place}[{number}]")));
                if let Some(fault) = faults.next() {
                    return Some(fault);
                }
                false
            }
            "anyOf" => !rule.as_array().expect("schemas").iter().any(|one| fault(all, one, value, place).is_none()),
            "pattern" | "format" | "description" | "examples" => false,
            other => return Some(format!("{place}: this test does not know {other}")),
        };
        if wrong {
            return Some(format!("{place}: {value} is not of {keyword} {rule}"));
        }
    }
    None
}

#[test]
fn every_answer_is_of_the_form_that_is_described() {
    let all = description();
    let mut random = Random::seeded(13);
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let stacks = random_store(&served, &mut random, 300);
    let mut checked = 0;
    for (path, item) in all["paths"].as_object().expect("paths") {
        if path.ends_with("/events") || path == "/openapi.json" {
            continue;
        }
        for (dvipa, transport) in
            [("10.1.1.1", "tcp"), ("10.1.1.2", "tcp"), ("2001:db8::7", "udp"), ("ANY", "tcp"), ("10.9.9.9", "udp")]
        {
            for port in ["0", "1500", "60001", "x"] {
                let values = [
                    ("{structure}", "EZBEPORT1121"),
                    ("{dvipa}", dvipa),
                    ("{transport}", transport),
                    ("{port}", port),
                    ("{connector}", if transport == "tcp" { "SYS6.TCPIP" } else { "NOBODY" }),
                ];
                let filled = values.iter().fold(format!("/v1{path}"), |path, (name, value)| path.replace(name, value));
                let got = served.get(&filled);
                let response = resolve(&all, &item["get"]["responses"][got.status.to_string()]);
                let kind = got.header("content-type").expect("a type");
                let schema = &response["content"][kind]["schema"];
                assert!(schema.is_object(), "{filled}: {} with {kind} is not described", got.status);
                let body: Value = serde_json::from_str(&got.body).expect("JSON");
                if let Some(fault) = fault(&all, schema, &body, "answer") {
                    panic!("{filled}: {fault}");
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 200, "{checked}");
    drop(stacks);
    served.stop();
}

#[test]
fn the_description_is_served_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path());
    let got: Value = serde_json::from_str(&served.get("/v1/openapi.json").body).expect("JSON");
    assert_eq!(got, description());
    served.stop();
}
