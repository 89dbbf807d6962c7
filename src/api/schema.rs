//! What the OpenAPI and the AsyncAPI document do alike with the schemas that the code gives.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where references to schemas begin.
pub const SCHEMAS: &str = "#/components/schemas/";

/// Descriptions are comments of the code: where their lines end is its affair, and no change of the
/// contract. Paragraphs stay.
pub fn unwrap_lines(part: &mut Value) {
    match part {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => {
                        let paragraphs: Vec<_> = text
                            .split("\n\n")
                            .map(|paragraph| paragraph.replace('\n', " "))
                            .collect();
                        *text = paragraphs.join("\n\n");
                    }
                    _ => unwrap_lines(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

/// Where what is unset is `null`, not left out: a member that may be null is required, but for the
/// `optional` ones. (What may be left out, is never null.)
pub fn require_nulls(schema: &mut Value, optional: &[&str]) {
    let nullable = |(name, property): &(&String, &Value)| {
        let null = json!("null");
        let one_of = property["oneOf"].as_array().into_iter().flatten();
        let may_be_null = property["type"]
            .as_array()
            .is_some_and(|types| types.contains(&null))
            || one_of.into_iter().any(|one| one["type"] == null);
        may_be_null && !optional.contains(&name.as_str())
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    let nullable: Vec<String> = properties
        .filter(nullable)
        .map(|(name, _)| name.clone())
        .collect();
    if nullable.is_empty() {
        return;
    }
    let mut required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    required.extend(
        nullable
            .into_iter()
            .map(Value::from)
            .filter(|name| !required.contains(name))
            .collect::<Vec<_>>(),
    );
    schema["required"] = required.into();
}

/// The names of all schemas that `part` leads to.
pub fn reach(document: &Value, part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            for (name, member) in members {
                let schema = member
                    .as_str()
                    .filter(|_| name == "$ref")
                    .and_then(|at| at.strip_prefix(SCHEMAS));
                match schema {
                    Some(schema) if found.insert(schema.to_owned()) => {
                        reach(document, &document["components"]["schemas"][schema], found);
                    }
                    _ => reach(document, member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| reach(document, item, found)),
        _ => {}
    }
}

/// A document as it is committed: sorted, two spaces, a line end.
pub fn text(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}
