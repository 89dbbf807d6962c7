//! Whether an answer is one that the document describes.

use crate::{rest::app::Answer, support::schema};
use serde_json::Value;

/// # Errors
/// What is wrong with it, in words.
pub fn check(document: &Value, operation: &Value, answer: &Answer) -> Result<(), String> {
    let status = answer.status;
    let Some(described) = operation["responses"].get(status.to_string()) else {
        return Err(format!("{status} is not documented"));
    };
    if matches!(status, 429 | 503) && answer.header("retry-after").parse::<u32>().is_err() {
        return Err("no Retry-After".to_owned());
    }
    if answer.header("cache-control") != "no-store" {
        return Err(format!(
            "Cache-Control is {:?}",
            answer.header("cache-control")
        ));
    }
    let Some(content) = described["content"].as_object() else {
        return if answer.text.is_empty() {
            Ok(())
        } else {
            Err("a body that is not documented".to_owned())
        };
    };
    let kind = answer
        .header("content-type")
        .split(';')
        .next()
        .unwrap_or_default();
    let Some(media) = content.get(kind) else {
        return Err(format!("{kind:?} is not documented"));
    };
    if !kind.ends_with("json") {
        return Ok(());
    }
    let body: Value =
        serde_json::from_str(&answer.text).map_err(|error| format!("not JSON: {error}"))?;
    let mut wrong = Vec::new();
    schema::check(document, &media["schema"], &body, "", &mut wrong);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("; "))
    }
}
