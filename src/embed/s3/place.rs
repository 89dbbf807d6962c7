//! Where a key lies: its parts are folders, so that listing a prefix reads only what is below it.

use std::path::PathBuf;

/// A file name holds 255 bytes; some of them are ours.
const NAME_BYTES_MAX: usize = 240;
/// Ends the folder that holds a key's versions. What ends otherwise is a part of longer keys.
const KEY_END: char = '=';

/// The folder of a key's versions, below that of its bucket's objects. `None` for a key with a part
/// that is too long for a file name.
pub fn folder(key: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    let mut parts = key.split('/').peekable();
    while let Some(part) = parts.next() {
        let mut name = encode(part);
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        if parts.peek().is_none() {
            name.push(KEY_END);
        }
        path.push(name);
    }
    Some(path)
}

/// What a folder's name stands for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// Ends a key; below are its versions.
    Key(String),
    /// A part of keys, with its `/`.
    Prefix(String),
}

impl Part {
    /// `None` for a name that we did not make.
    pub fn of(name: &str) -> Option<Self> {
        match name.strip_suffix(KEY_END) {
            Some(name) => decode(name).map(Self::Key),
            None => decode(name).map(|part| Self::Prefix(part + "/")),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(text) | Self::Prefix(text) => text,
        }
    }
}

/// Letters, digits, `-`, `_` and `.` stand for themselves, other bytes as `%XX`. Never empty, never
/// hidden, never `..`.
fn encode(part: &str) -> String {
    if part.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::new();
    for (n, byte) in part.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && n > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

fn decode(name: &str) -> Option<String> {
    if name == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    let part = String::from_utf8(bytes).ok()?;
    // Only what we would write, so that each key has one place.
    (encode(&part) == name).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_places_of_their_own_and_read_back() {
        let keys = [
            "a",
            "a/",
            "a//b",
            "a/b",
            "/a",
            "..",
            "../a",
            ".hidden",
            "a=",
            "a=/b",
            "a%2Fb",
            "Überblick 1.mp4",
            "live/0193/e1/track-1.mka",
        ];
        let mut places = std::collections::BTreeSet::new();
        for key in keys {
            let place = folder(key).expect("it is short");
            let mut read = String::new();
            for name in place.iter() {
                let name = name.to_str().expect("it is text");
                assert!(!name.starts_with('.') && !name.is_empty(), "{name}");
                read.push_str(Part::of(name).expect("it is ours").as_str());
            }
            assert_eq!(read, key);
            assert!(
                places.insert(place.clone()),
                "{key} has no place of its own"
            );
        }
        assert_eq!(
            folder("live/0193/track-1.mka"),
            Some("live/0193/track-1.mka=".into())
        );
    }

    #[test]
    fn what_we_did_not_make_is_no_key() {
        for name in ["a b", "%", "%2", "%zz", "%61", ".x", "a/b"] {
            assert_eq!(
                Part::of(&format!("{name}=")).is_some(),
                name == "%",
                "{name}"
            );
        }
        assert_eq!(folder(&"a".repeat(241)), None);
        assert!(folder(&"a/".repeat(500)).is_some());
    }
}
