//! The contract, generated from the OpenAPI document: what every operation refuses, and how.

mod answer;

use super::app::{ALLOWED, App, PUBLIC_URL, request};
use axum::{body::Body, http::Request};
use hansard::{
    api::{docs, ops, problem::KINDS},
    domain::job::JobKind,
    health::{Health, Phase, Reason},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

fn operations() -> Vec<(String, String, Value)> {
    let document = docs::document();
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .expect("methods")
                .iter()
                .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
        })
        .collect()
}

/// The path with fresh ids in it.
fn fill(path: &str, with: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { with } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn the_committed_document_is_the_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    if std::env::var_os("HANSARD_BLESS").is_some() {
        std::fs::write(path, docs::text()).expect("written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == docs::text(),
        "read the difference, then run `hansard openapi > docs/openapi.json`"
    );
}

#[test]
fn the_document_describes_every_answer() {
    let document = docs::document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(operations().len() >= 24);
    for (method, path, operation) in operations() {
        let responses = operation["responses"].as_object().expect("responses");
        assert!(
            responses
                .keys()
                .any(|status| status.starts_with(['2', '3'])),
            "{method} {path}"
        );
        assert!(
            operation["summary"].is_string() && operation["tags"].is_array(),
            "{method} {path}"
        );
        for (status, response) in responses
            .iter()
            .filter(|(status, _)| status.starts_with(['4', '5']))
        {
            let content = &response["content"]["application/problem+json"];
            assert_eq!(
                content["schema"]["$ref"], "#/components/schemas/Problem",
                "{method} {path} {status}"
            );
            assert!(
                content["example"]["type"].is_string(),
                "{method} {path} {status}"
            );
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("quoted");
        assert!(
            document["components"]["schemas"].get(name).is_some(),
            "{name}"
        );
    }
}

/// Generators make one function of each operationId and one type of each schema.
#[test]
fn names_are_given_once() {
    let mut ids: Vec<String> = operations()
        .iter()
        .map(|(.., operation)| operation["operationId"].as_str().expect("an id").to_owned())
        .collect();
    let all = ids.len();
    ids.sort();
    ids.dedup_by_key(|id| id.to_ascii_lowercase());
    assert_eq!(ids.len(), all, "operationIds repeat: {ids:?}");
    for id in &ids {
        assert!(
            id.starts_with(|c: char| c.is_ascii_lowercase())
                && id.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{id}"
        );
    }
    // Two types of one name in different files: merging keeps the later one, and answers of the
    // other are then untyped.
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for part in docs::parts() {
        let part = serde_json::to_value(part.into_openapi()).expect("JSON");
        for (name, schema) in part["components"]["schemas"]
            .as_object()
            .into_iter()
            .flatten()
        {
            let known = schemas
                .entry(name.clone())
                .or_insert_with(|| schema.clone());
            assert_eq!(known, schema, "two schemas are called {name}");
        }
    }
    // And within one file.
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api"))
        .expect("it is there")
        .flatten()
    {
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        for declared in text.split("ToSchema)]").skip(1) {
            let before = declared.split(['{', ';', '(']).next().unwrap_or_default();
            let head = declared.split(" {").next().unwrap_or(before);
            let alias = head
                .split("schema(as = ")
                .nth(1)
                .and_then(|rest| rest.split(')').next());
            let name = head
                .split("pub struct ")
                .nth(1)
                .or_else(|| head.split("pub enum ").nth(1));
            let Some(name) = alias.or(name).map(|name| name.trim().to_owned()) else {
                continue;
            };
            let place = entry.path().display().to_string();
            if let Some(other) = types.insert(name.clone(), place.clone()) {
                panic!("{name} in {place} and in {other}");
            }
        }
    }
    assert!(types.len() > 30, "{types:?}");
}

/// A type for everything: words that are one of a few are enums, numbers have room, nothing is any
/// object.
#[test]
fn everything_has_a_type() {
    let document = docs::document();
    assert_eq!(document["servers"][0]["url"], "/");
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for (name, schema) in schemas {
        for (member, property) in schema["properties"].as_object().into_iter().flatten() {
            let here = format!("{name}.{member}");
            // Why a stream was closed may be whatever its worker said, and why something was
            // deleted whatever somebody wrote.
            let is_open = [
                "Stream.reason",
                "Tombstone.reason",
                "Hold.reason",
                "HoldInput.reason",
                "Redaction.reason",
                "RedactionRequest.reason",
                "RedactionDecline.reason",
                "Erasure.reason",
                "ErasureRequest.reason",
            ]
            .contains(&here.as_str());
            if !is_open
                && [
                    "role",
                    "kind",
                    "status",
                    "source",
                    "reason",
                    "storageTier",
                    "consentType",
                    "suite",
                    "codec",
                    "media",
                    "mediaReason",
                    "waitingFor",
                ]
                .contains(&member.as_str())
                && *property != json!({"type": "integer"})
                && name != "Problem"
            {
                let text = property.to_string();
                let to = text
                    .split("#/components/schemas/")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next());
                let to = to.unwrap_or_else(|| panic!("{here} is no enum: {property}"));
                assert!(schemas[to]["enum"].is_array(), "{here}: {to} is no enum");
            }
            let untyped = |value: &Value| {
                value.get("$ref").is_none()
                    && value.get("properties").is_none()
                    && value.get("oneOf").is_none()
                    && (value.get("type").is_none() || value["type"] == "object")
            };
            assert!(!untyped(property), "{here} has no type: {property}");
            assert!(
                property.get("items").is_none_or(|items| !untyped(items)),
                "{here} has items without a type"
            );
        }
    }
    let stream = &schemas["NewStream"]["properties"];
    assert_eq!(stream["ssrc"]["format"], "int64");
    assert_eq!(stream["ssrc"]["maximum"], u32::MAX);
    let recording = &schemas["Recording"];
    assert_eq!(
        recording["properties"]["gaps"]["items"]["$ref"],
        "#/components/schemas/Gap"
    );
    assert!(
        recording["required"]
            .as_array()
            .expect("a list")
            .contains(&json!("durationMs")),
        "null, not left out"
    );
    for (name, schema) in schemas {
        if let Some(of) = name.strip_prefix("Page_") {
            let items = &schema["properties"]["data"]["items"];
            assert_eq!(
                *items,
                json!({"$ref": format!("#/components/schemas/{of}")}),
                "{name}"
            );
        }
        // Generators take what has a default for always there.
        for (member, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property.get("default").is_none(), "{name}.{member}");
        }
    }
    let words = &schemas["TranscriptSegment"]["properties"]["words"];
    assert_eq!(words["items"]["$ref"], "#/components/schemas/Word");
}
