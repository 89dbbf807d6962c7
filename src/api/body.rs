//! Reading requests: bodies, paths and queries, each refused with the problem that says what is
//! wrong and where.

use super::problem::{FieldError, Problem};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{header, request::Parts},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The largest body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A JSON body of at most [`BODY_BYTES_MAX`], with its SHA-256.
#[derive(Clone, Debug)]
pub struct Body<T> {
    pub value: T,
    pub hash: [u8; 32],
}

/// Reads a member that is there as its value, also where that is null: only what is left out is
/// `None`. With `#[serde(default)]`.
pub fn present<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(from).map(Some)
}

impl<S: Send + Sync, T: DeserializeOwned + Valid> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let is_json = media_type(&request).is_some_and(|essence| {
            essence == "application/json"
                || (essence.starts_with("application/") && essence.ends_with("+json"))
        });
        if !is_json {
            return Err(Problem::unsupported_media_type("application/json"));
        }
        let bytes = read(request).await?;
        let hash = Sha256::digest(&bytes).into();
        Ok(Self {
            value: parse(&bytes)?,
            hash,
        })
    }
}

/// A body of text of at most [`BODY_BYTES_MAX`], of this media type and no other.
pub async fn text(request: Request, kind: &str) -> Result<String, Problem> {
    if media_type(&request).is_none_or(|essence| essence != kind) {
        return Err(Problem::unsupported_media_type(kind));
    }
    let bytes = read(request).await?;
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::bad_request("the body is not text in UTF-8"))
}

/// In lower case, without parameters.
fn media_type(request: &Request) -> Option<String> {
    let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX)
        .await
        .map_err(|error| {
            // `to_bytes` says "too long" and "the client went away" by one type; only the first has
            // this source.
            let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
            while let Some(cause) = source {
                if cause.to_string().contains("length limit exceeded") {
                    return Problem::too_large();
                }
                source = cause.source();
            }
            Problem::bad_request("the body ended early")
        })
}

/// Parses a body: 400 for what is not JSON, 422 with a pointer for JSON that is not a `T`.
pub fn parse<T: DeserializeOwned + Valid>(bytes: &[u8]) -> Result<T, Problem> {
    let value: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad_request(format!("not JSON: {error}")))?;
    let value: T = serde_path_to_error::deserialize(value).map_err(|error| {
        let said = error.inner().to_string();
        let mut pointer: String = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => Some(format!("/{index}")),
                serde_path_to_error::Segment::Map { key } => Some(format!("/{}", escape(key))),
                _ => None,
            })
            .collect();
        // serde names the member, but its path ends at the object that has or lacks it.
        for said_of in ["unknown field `", "missing field `"] {
            if let Some(name) = said
                .strip_prefix(said_of)
                .and_then(|rest| rest.split('`').next())
            {
                let member = format!("/{}", escape(name));
                if !pointer.ends_with(&member) {
                    pointer.push_str(&member);
                }
            }
        }
        Problem::field(pointer, said)
    })?;
    let mut errors = Vec::new();
    value.check(&mut errors);
    if errors.is_empty() {
        Ok(value)
    } else {
        Err(Problem::invalid(errors))
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What a type cannot say of its values: lengths, ranges, letters.
pub trait Valid {
    /// Adds what is wrong.
    fn check(&self, errors: &mut Vec<FieldError>);
}

/// A text of `min` to `max` characters without control characters.
pub fn check_line(pointer: &str, text: &str, min: usize, max: usize, errors: &mut Vec<FieldError>) {
    if text.chars().any(is_control) {
        errors.push(FieldError::new(pointer, "must have no control characters"));
    }
    check_length(pointer, text.trim(), min, max, errors);
}

/// A text of `min` to `max` characters in which lines may end, without other control characters.
pub fn check_text(pointer: &str, text: &str, min: usize, max: usize, errors: &mut Vec<FieldError>) {
    if text
        .chars()
        .any(|c| is_control(c) && !matches!(c, '\n' | '\r' | '\t'))
    {
        errors.push(FieldError::new(
            pointer,
            "must have no control characters but line ends and tabs",
        ));
    }
    check_length(pointer, text, min, max, errors);
}

pub fn check_length(
    pointer: &str,
    text: &str,
    min: usize,
    max: usize,
    errors: &mut Vec<FieldError>,
) {
    let length = text.chars().count();
    if !(min..=max).contains(&length) {
        errors.push(FieldError::new(
            pointer,
            format!("must have {min} to {max} characters"),
        ));
    }
}

/// Of a credential's life.
pub fn check_ttl(ttl_seconds: i64, max: i64, errors: &mut Vec<FieldError>) {
    if !(1..=max).contains(&ttl_seconds) {
        errors.push(FieldError::new(
            "/ttlSeconds",
            format!("must be 1 to {max}"),
        ));
    }
}

/// Control characters, and those that turn the direction of the text around them: a name with one
/// would rewrite the line it stands in.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The ids in the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection| {
                Problem::bad_request(format!("bad path: {}", rejection.body_text()))
            })
    }
}

/// The query's parameters. Unknown ones are refused by the types' `deny_unknown_fields`.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| {
                Problem::bad_request(format!("bad query: {}", rejection.body_text()))
            })
    }
}

/// A path with one id in it that may have more behind it.
pub type Id = Path<Uuid>;

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code, reason = "only read by serde")]
        host_id: Uuid,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        names: Vec<String>,
    }

    impl Valid for Outer {
        fn check(&self, errors: &mut Vec<FieldError>) {
            for (n, name) in self.inner.iter().flat_map(|inner| &inner.names).enumerate() {
                check_line(&format!("/inner/names/{n}"), name, 1, 8, errors);
            }
        }
    }

    fn pointers(body: &str) -> (u16, String) {
        use axum::response::IntoResponse;
        let problem = parse::<Outer>(body.as_bytes()).expect_err("refused");
        let said = format!("{problem:?}");
        let pointers: Vec<&str> = said
            .split("pointer: \"")
            .skip(1)
            .map(|rest| rest.split('"').next().expect("quoted"))
            .collect();
        (
            problem.into_response().status().as_u16(),
            pointers.join(" "),
        )
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let id = Uuid::nil();
        for (body, status, at) in [
            ("{".to_owned(), 400, ""),
            ("[]".to_owned(), 422, ""),
            ("{}".to_owned(), 422, "/hostId"),
            (r#"{"hostId":"x"}"#.to_owned(), 422, "/hostId"),
            (format!(r#"{{"hostId":"{id}","what":1}}"#), 422, "/what"),
            (
                format!(r#"{{"hostId":"{id}","inner":{{"names":[],"a/b":1}}}}"#),
                422,
                "/inner/a~1b",
            ),
            (
                format!(r#"{{"hostId":"{id}","inner":{{"names":["a",7]}}}}"#),
                422,
                "/inner/names/1",
            ),
            (
                format!(r#"{{"hostId":"{id}","inner":{{"names":["a","","b\u0007"," "]}}}}"#),
                422,
                "/inner/names/1 /inner/names/2 /inner/names/3",
            ),
        ] {
            assert_eq!(pointers(&body), (status, at.to_owned()), "{body}");
        }
    }
}
