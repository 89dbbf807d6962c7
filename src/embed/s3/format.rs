//! A version's file: its content, then what it is (JSON), then the length and a hash of that. It
//! says everything about itself and never changes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

const MAGIC: &[u8; 8] = b"hansard1";
/// Length of the JSON, the first bytes of its SHA-256, magic.
const FOOTER_BYTES: u64 = 8 + 8 + 8;
/// Read at once from a file's end; most descriptions fit.
const TAIL_BYTES: u64 = 4 << 10;
/// S3 takes 2 KiB of metadata; parts of an upload are listed, too.
const JSON_BYTES_MAX: u64 = 1 << 20;

/// One version of an object.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Version {
    pub bucket: String,
    pub key: String,
    /// `null` where the bucket keeps no versions.
    pub id: String,
    pub number: u64,
    /// Says that the key was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_marker: bool,
    pub written: DateTime<Utc>,
    pub size_bytes: u64,
    pub etag: String,
    pub class: String,
    pub attributes: Attributes,
    pub checksums: Checksums,
    /// The sizes of the parts that it was uploaded in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<u64>,
}

/// What the uploader said of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// In base 64, as they stand in headers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Checksums {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc32: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc64nvme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Made of the checksums of parts, not of the content.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_composite: bool,
}

/// Appends the description of what stands in the file. The caller syncs.
pub fn describe(file: &mut File, version: &Version) -> io::Result<()> {
    let json = serde_json::to_vec(version)?;
    let mut tail = json;
    let (length, hash) = (tail.len() as u64, hash(&tail));
    tail.extend_from_slice(&length.to_le_bytes());
    tail.extend_from_slice(&hash);
    tail.extend_from_slice(MAGIC);
    file.seek(SeekFrom::End(0))?;
    file.write_all(&tail)
}

/// What a file says of itself.
pub fn read(file: &mut File) -> io::Result<Version> {
    let length = file.metadata()?.len();
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut tail = end(file, length, TAIL_BYTES)?;
    let footer = tail
        .len()
        .checked_sub(FOOTER_BYTES as usize)
        .ok_or_else(|| damaged("shorter than its description"))?;
    let json_bytes = tail[footer..footer + 8]
        .try_into()
        .map(u64::from_le_bytes)
        .expect("eight bytes");
    if &tail[footer + 16..] != MAGIC || json_bytes > JSON_BYTES_MAX {
        return Err(damaged("no description at its end"));
    }
    let whole = json_bytes + FOOTER_BYTES;
    if whole > tail.len() as u64 {
        tail = end(file, length, whole)?;
    }
    let begin = (tail.len() as u64)
        .checked_sub(whole)
        .ok_or_else(|| damaged("shorter than its description"))? as usize;
    let footer = tail.len() - FOOTER_BYTES as usize;
    let json = &tail[begin..footer];
    if hash(json) != tail[footer + 8..footer + 16] {
        return Err(damaged("its description is damaged"));
    }
    let version: Version = serde_json::from_slice(json)?;
    if version.size_bytes + whole != length {
        return Err(damaged("it has another length than it says"));
    }
    Ok(version)
}

fn end(file: &mut File, length: u64, wanted: u64) -> io::Result<Vec<u8>> {
    let wanted = wanted.min(length);
    file.seek(SeekFrom::Start(length - wanted))?;
    let mut bytes = vec![0; wanted as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hash(json: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(json);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (File, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("hansard-format-{}", uuid::Uuid::new_v4()));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("it can be made");
        file.write_all(content).expect("there is room");
        (file, path)
    }

    #[test]
    fn a_file_says_what_it_is() {
        for (size, metadata) in [(0_u64, 0), (5, 3), (100_000, 300)] {
            let version = Version {
                key: "m/a.mka".to_owned(),
                size_bytes: size,
                attributes: Attributes {
                    metadata: (0..metadata)
                        .map(|n| (format!("name-{n}"), "value of some length".to_owned()))
                        .collect(),
                    ..Attributes::default()
                },
                ..Version::default()
            };
            let (mut made, path) = file(&vec![7; size as usize]);
            describe(&mut made, &version).expect("there is room");
            assert_eq!(read(&mut made).expect("it is whole"), version);
            std::fs::remove_file(path).expect("it is there");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let version = Version {
            size_bytes: 5,
            ..Version::default()
        };
        let (mut whole, path) = file(b"hello");
        describe(&mut whole, &version).expect("there is room");
        let length = whole.metadata().expect("it is there").len();
        for cut in [1, 8, 30, length - 6, length - 4, length] {
            let bytes = std::fs::read(&path).expect("it is there");
            let (mut torn, other) = file(&bytes[..(length - cut) as usize]);
            assert!(read(&mut torn).is_err(), "{cut} bytes less");
            std::fs::remove_file(other).expect("it is there");
        }
        let mut bytes = std::fs::read(&path).expect("it is there");
        bytes[10] ^= 1;
        let (mut changed, other) = file(&bytes);
        assert!(read(&mut changed).is_err());
        for path in [path, other] {
            std::fs::remove_file(path).expect("it is there");
        }
    }
}
