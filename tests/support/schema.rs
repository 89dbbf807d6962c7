//! JSON Schema as far as our OpenAPI and AsyncAPI documents use it. A keyword that is not known
//! here ends the test: it would pass unseen.

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

/// Words without a say in what is valid.
const SILENT: [&str; 8] = [
    "propertyNames",
    "description",
    "example",
    "examples",
    "default",
    "title",
    "additionalProperties",
    "required",
];

/// What is wrong with a value, each with where. Objects are taken as closed: what is not documented
/// is found so.
pub fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let rules = schema
        .as_object()
        .unwrap_or_else(|| panic!("{at}: no schema: {schema}"));
    for (keyword, rule) in rules {
        match keyword.as_str() {
            "$ref" => {
                let to = rule
                    .as_str()
                    .and_then(|to| to.strip_prefix('#'))
                    .and_then(|to| document.pointer(to));
                check(
                    document,
                    to.expect("references lead somewhere"),
                    value,
                    at,
                    wrong,
                );
            }
            "oneOf" => {
                let options = rule.as_array().expect("a list");
                let fits = options.iter().filter(|option| {
                    let mut wrong = Vec::new();
                    check(document, option, value, at, &mut wrong);
                    wrong.is_empty()
                });
                let fits = fits.count();
                if fits != 1 {
                    wrong.push(format!(
                        "{at}: {value} is {fits} of {} alternatives",
                        options.len()
                    ));
                }
            }
            "type" => {
                let one = std::slice::from_ref(rule);
                let types = rule.as_array().map_or(one, Vec::as_slice);
                if !types
                    .iter()
                    .any(|one| is(one.as_str().expect("a word"), value))
                {
                    wrong.push(format!("{at}: {value} is no {rule}"));
                }
            }
            "const" if rule != value => wrong.push(format!("{at}: {value} is not {rule}")),
            "const" => {}
            "enum" if !rule.as_array().expect("a list").contains(value) => {
                wrong.push(format!("{at}: {value} is none of {rule}"))
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                wrong.push(format!("{at}: {value} is below {rule}"))
            }
            "maximum" if value.as_f64() > rule.as_f64() && value.is_number() => {
                wrong.push(format!("{at}: {value} is above {rule}"))
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" => {
                let length = match value {
                    Value::String(text) => text.chars().count(),
                    Value::Array(items) => items.len(),
                    _ => continue,
                };
                let bound = rule.as_u64().expect("a number") as usize;
                if keyword.starts_with("min") && length < bound
                    || keyword.starts_with("max") && length > bound
                {
                    wrong.push(format!(
                        "{at}: a length of {length} is against {keyword} {bound}"
                    ));
                }
            }
            "format" => {
                if !formatted(rule.as_str().expect("a word"), value) {
                    wrong.push(format!("{at}: {value} is no {rule}"));
                }
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, item, &format!("{at}/{n}"), wrong);
                }
            }
            "properties" => {
                let Some(members) = value.as_object() else {
                    continue;
                };
                for (name, member) in members {
                    match rule.get(name) {
                        Some(property) => {
                            check(document, property, member, &format!("{at}/{name}"), wrong)
                        }
                        None => wrong.push(format!("{at}: {name} is not documented")),
                    }
                }
                for name in schema["required"].as_array().into_iter().flatten() {
                    if !members.contains_key(name.as_str().expect("a word")) {
                        wrong.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            // Of a map; else objects are closed.
            "additionalProperties" if rule.is_object() => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    check(document, rule, member, &format!("{at}/{name}"), wrong);
                }
            }
            "additionalProperties" if *rule == false && !rules.contains_key("properties") => {
                for name in value.as_object().into_iter().flat_map(|of| of.keys()) {
                    wrong.push(format!("{at}: {name} is not documented"));
                }
            }
            "enum" | "minimum" | "maximum" => {}
            "pattern" => {
                // The one there is: a language.
                assert_eq!(rule, "^[a-z]{2,3}$");
                let is = |text: &str| {
                    (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())
                };
                if value.as_str().is_some_and(|text| !is(text)) {
                    wrong.push(format!("{at}: {value} is against {rule}"));
                }
            }
            silent => assert!(
                SILENT.contains(&silent),
                "{at}: the keyword {silent} is not known here"
            ),
        }
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not known here"),
    }
}

/// Formats speak of their own type only.
fn formatted(format: &str, value: &Value) -> bool {
    let text = value.as_str();
    match format {
        "uuid" => text.is_none_or(|text| text.len() == 36 && Uuid::parse_str(text).is_ok()),
        "date-time" => text
            .is_none_or(|text| DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z')),
        "email" => {
            text.is_none_or(|text| text.split('@').filter(|part| !part.is_empty()).count() == 2)
        }
        "password" | "double" | "float" => true,
        "int32" => value
            .as_i64()
            .is_none_or(|number| i32::try_from(number).is_ok()),
        "int64" => !value.is_number() || value.is_i64(),
        other => panic!("the format {other} is not known here"),
    }
}
