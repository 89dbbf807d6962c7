//! The AsyncAPI document: committed as the code makes it, served, and true of what is read.

use super::{
    fuzz::each,
    support::{
        schema,
        signaling::{Side, undocumented},
    },
    world::World,
};
use hansard::{
    api::{asyncapi, signal::message::parse_client_message},
    domain::event::EventKind,
};
use serde_json::{Value, json};

#[test]
fn the_committed_document_is_the_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asyncapi.json");
    if std::env::var_os("HANSARD_BLESS").is_some() {
        std::fs::write(path, asyncapi::text()).expect("written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == asyncapi::text(),
        "read the difference, then run `hansard openapi --signaling > docs/asyncapi.json`"
    );
}

#[test]
fn the_document_is_whole() {
    let document = asyncapi::document();
    assert_eq!(document["asyncapi"], "3.0.0");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let to = reference.split('"').next().expect("quoted");
        let to = to.strip_prefix('#').expect("within the document");
        assert!(document.pointer(to).is_some(), "{to} leads nowhere");
    }
    // Each message is said by somebody, and each event has one.
    let operations = document["operations"].to_string();
    let messages = document["components"]["messages"]
        .as_object()
        .expect("messages");
    for name in messages.keys() {
        assert!(
            operations.contains(&format!("#/channels/signal/messages/{name}\"")),
            "{name} is in no operation"
        );
    }
    for kind in EventKind::ALL {
        assert!(messages.contains_key(&format!("server.{}", kind.as_str())));
    }
    // No schema is left untyped, and none is unused.
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .expect("schemas")
    {
        assert!(
            text.matches(&format!("\"#/components/schemas/{name}\""))
                .count()
                > 0,
            "{name} is not used"
        );
        let is_typed = schema.get("type").is_some() || schema.get("oneOf").is_some();
        assert!(is_typed, "{name}: {schema}");
    }
}

/// What a server takes is described. (Not all that is described is taken: that tokens hold, for
/// one, no schema says.)
#[test]
fn what_is_taken_of_clients_is_described() {
    let mut taken = 0;
    each("signal", |bytes, whole| {
        if !whole || parse_client_message(bytes).is_err() {
            return;
        }
        let mut message: Value = serde_json::from_slice(bytes).expect("it was read");
        if message["id"].is_null() {
            message.as_object_mut().expect("an object").remove("id");
        }
        let wrong = undocumented(Side::Client, &message);
        assert!(wrong.is_empty(), "{message}: {wrong:?}");
        taken += 1;
    });
    assert!(taken > 10, "{taken}");
    for (message, said) in [
        (json!({"type": "dance"}), "not in the document"),
        (json!({"type": "ping", "data": {"a": 1}}), "alternatives"),
        (json!({"type": "ping", "seq": 1}), "not documented"),
        (
            json!({"type": "consent", "data": {"consentType": "all", "status": "accepted"}}),
            "none of",
        ),
        (json!({"type": "offer", "data": {}}), "is missing"),
    ] {
        assert!(parse_client_message(message.to_string().as_bytes()).is_err());
        let wrong = undocumented(Side::Client, &message).join("; ");
        assert!(wrong.contains(said), "{message}: {wrong}");
    }
}

/// Each member that events may lack is told apart from one that is null.
#[test]
fn members_are_required_or_left_out_on_purpose() {
    let document = asyncapi::document();
    let schemas = &document["components"]["schemas"];
    let check = |name: &str, value: Value| {
        let mut wrong = Vec::new();
        schema::check(&document, &schemas[name], &value, "", &mut wrong);
        wrong
    };
    let report = json!({"state": "paused", "since": "2026-11-22T16:17:01.230Z",
        "transcribing": false, "transcribingSince": null, "model": null, "reason": null, "waitingFor": [],
        "unrecorded": [], "epoch": 3});
    assert!(check("RecordingReport", report.clone()).is_empty());
    let mut lacks = report.clone();
    lacks.as_object_mut().expect("an object").remove("reason");
    assert_eq!(
        check("RecordingReport", lacks).len(),
        1,
        "null, not left out"
    );
    let mut unknown = report;
    unknown["state"] = "dancing".into();
    assert_eq!(check("RecordingReport", unknown).len(), 1);
    // Flattened structs are one object.
    assert!(schemas["Consent"]["properties"]["hash"].is_object());
    let required = schemas["Correction"]["required"]
        .as_array()
        .expect("a list");
    assert!(required.contains(&json!("segmentId")) && required.contains(&json!("source")));
    let required = schemas["Consent"]["required"].as_array().expect("a list");
    assert!(
        !required.contains(&json!("hash")),
        "not before it is in the log"
    );
}

#[tokio::test]
async fn it_is_served_with_the_servers_address() {
    let world = World::new().await;
    let api = world.api().await;
    let url = format!("http://{}/v1/asyncapi.json", api.address);
    let served: Value = reqwest::get(url)
        .await
        .expect("it answers")
        .json()
        .await
        .expect("JSON");
    assert_eq!(served["servers"]["this"]["host"], api.address.to_string());
    assert_eq!(served["servers"]["this"]["protocol"], "ws");
    assert_eq!(
        served["components"],
        asyncapi::document()["components"],
        "the rest is as committed"
    );
    let below = asyncapi::document_of("wss://x.example.org/hansard/v1/signal");
    assert_eq!(
        below["servers"]["this"],
        json!({"host": "x.example.org", "pathname": "/hansard", "protocol": "wss",
            "description": "This server"})
    );
}
