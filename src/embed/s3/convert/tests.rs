//! What the older version left, also when taking it over was stopped in between.

use super::*;
use crate::clock::Clock;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// As the older version left it: three objects, one of them archived, one without anything
/// beside it.
fn old() -> Folder {
    let root = std::env::temp_dir().join(format!("hansard-old-{}", uuid::Uuid::new_v4()));
    fs::create_dir_all(root.join("hansard/m/0193")).expect("it can be made");
    fs::create_dir_all(root.join("hansard/empty")).expect("it can be made");
    fs::create_dir_all(root.join("other")).expect("it can be made");
    let hidden = |key: &str, ending: &str, text: &str| {
        let [bucket, key] = ["hansard", key].map(|name| URL_SAFE_NO_PAD.encode(name));
        let name = format!(".bucket-{bucket}.object-{key}.{ending}.json");
        fs::write(root.join(name), text).expect("there is room");
    };
    fs::write(root.join("hansard/m/0193/a.mka"), b"hello").expect("there is room");
    hidden(
        "m/0193/a.mka",
        "metadata",
        r#"{"user_metadata":{"sha256":"2cf2"},"content_type":"audio/x-matroska"}"#,
    );
    hidden(
        "m/0193/a.mka",
        "internal",
        r#"{"e_tag":"5d41402abc4b2a76b9719d911017c592","checksum_sha256":"LPJN"}"#,
    );
    fs::write(root.join("hansard/m/cold"), vec![7; 70_000]).expect("there is room");
    hidden(
        "m/cold",
        "metadata",
        r#"{"user_metadata":{"hansard-class":"DEEP_ARCHIVE","hansard-restored":"true"}}"#,
    );
    fs::write(root.join("hansard/bare"), b"bare").expect("there is room");
    fs::write(root.join(".upload-7.json"), b"null").expect("there is room");
    fs::write(root.join(".tmp.3.internal.part"), b"torn").expect("there is room");
    Folder(root)
}

fn store(folder: &Folder) -> Store {
    Store::open(&folder.0, Clock::default(), Duration::zero()).expect("it opens")
}

fn content(store: &Store, key: &str) -> (Vec<u8>, Version) {
    use std::io::{Read, Seek};
    let mut opened = store
        .open_version("hansard", key, None)
        .unwrap_or_else(|error| panic!("{key}: {error}"));
    assert!(opened.state.is_readable(), "{key}");
    let mut bytes = Vec::new();
    opened.file.rewind().expect("it is a file");
    let size = opened.version.size_bytes;
    let read = opened.file.take(size).read_to_end(&mut bytes);
    assert_eq!(read.expect("it can be read") as u64, size);
    (bytes, opened.version)
}

fn check(folder: &Folder, store: &Store) {
    let (bytes, version) = content(store, "m/0193/a.mka");
    assert_eq!(
        (bytes.as_slice(), version.class.as_str()),
        (b"hello".as_slice(), STANDARD)
    );
    assert_eq!(version.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(version.checksums.sha256.as_deref(), Some("LPJN"));
    assert_eq!(
        version.attributes.content_type.as_deref(),
        Some("audio/x-matroska")
    );
    assert_eq!(version.attributes.metadata["sha256"], "2cf2");
    let (bytes, version) = content(store, "m/cold");
    assert_eq!(
        (bytes.len(), version.class.as_str()),
        (70_000, "DEEP_ARCHIVE")
    );
    assert!(version.attributes.metadata.is_empty());
    let (bytes, version) = content(store, "bare");
    assert_eq!(bytes, b"bare");
    assert_eq!(version.etag, md5(b"bare"));
    store.bucket("other").expect("empty ones, too");
    let left: Vec<_> = fs::read_dir(&folder.0)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").file_name())
        .filter(|name| !["_buckets", "_unfinished"].contains(&&*name.to_string_lossy()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn md5(bytes: &[u8]) -> String {
    use s3s::crypto::{Checksum as _, Md5};
    hex(&Md5::checksum(bytes))
}

#[test]
fn everything_is_taken_over_once() {
    let folder = old();
    let converted = store(&folder);
    assert_eq!(converted.convert().expect("it works"), 3);
    check(&folder, &converted);
    assert_eq!(converted.convert().expect("there is nothing more"), 0);
    check(&folder, &converted);
}

/// Stopped at each step of a batch, and gone on with by the next start.
#[test]
fn what_was_begun_is_gone_on_with() {
    for stopped in 0..6 {
        let folder = old();
        let begun = store(&folder);
        begun.make_bucket("hansard").expect("there is none");
        let mut batch = Vec::new();
        begun
            .collect("hansard", &folder.0.join("hansard"), &mut batch)
            .expect("it can be read");
        let text = serde_json::to_vec(&batch).expect("it is text");
        fs::write(folder.0.join(JOURNAL), text).expect("there is room");
        let first = &batch[0];
        let path = folder.0.join(&first.old);
        let described = || {
            let file = File::options().read(true).write(true).open(&path);
            let mut file = file.expect("it is there");
            format::describe(&mut file, &first.version).expect("there is room");
            file
        };
        let place = begun
            .key_folder("hansard", &first.version.key)
            .expect("it is short");
        match stopped {
            0 => {}
            1 => {
                let file = described();
                let torn = file.metadata().expect("it is there").len() - 9;
                file.set_len(torn).expect("it can be cut");
            }
            2 => drop(described()),
            3 | 4 => {
                drop(described());
                fs::create_dir_all(&place).expect("it can be made");
                fs::rename(&path, place.join("0000000000000001.null")).expect("it moves");
                if stopped == 4 {
                    fs::write(place.join("current"), "").expect("there is room");
                }
            }
            _ => {
                // Everything but the journal's end.
                begun.take_over(&batch).expect("it works");
                let text = serde_json::to_vec(&batch).expect("it is text");
                fs::write(folder.0.join(JOURNAL), text).expect("there is room");
            }
        }
        drop(begun);
        let converted = store(&folder);
        assert_eq!(
            converted.convert().expect("it works"),
            3,
            "stopped at {stopped}"
        );
        check(&folder, &converted);
    }
}

/// An older version that was used once more has the newer content.
#[test]
fn what_the_older_version_stored_later_counts() {
    let folder = old();
    store(&folder).convert().expect("it works");
    fs::create_dir_all(folder.0.join("hansard/m/0193")).expect("it can be made");
    fs::write(folder.0.join("hansard/m/0193/a.mka"), b"later").expect("there is room");
    let converted = store(&folder);
    assert_eq!(converted.convert().expect("it works"), 1);
    assert_eq!(content(&converted, "m/0193/a.mka").0, b"later");
    assert_eq!(content(&converted, "bare").0, b"bare");
}
