//! Old versions: what a bucket that keeps them has under keys without an object.

use super::{
    Listed, Objects, Result, Side,
    client::{fault, is_unknown},
};

/// How far a walk over all versions of the bucket is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Walk {
    /// Behind this version of this key.
    after: (Option<String>, Option<String>),
    /// The last key, of which more may come.
    open: Option<Key>,
    is_over: bool,
}

/// A line of the listing.
struct Line {
    key: String,
    id: Option<String>,
    /// Bytes of a version; `None`: it is a marker, which says that there is no object.
    size_bytes: Option<u64>,
    is_latest: bool,
}

/// What there is under a key.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Key {
    key: String,
    has_object: bool,
    /// The newest version or marker.
    newest: Option<String>,
    size_bytes: u64,
}

impl Key {
    fn take(&mut self, line: &Line) {
        self.has_object |= line.is_latest && line.size_bytes.is_some();
        self.size_bytes += line.size_bytes.unwrap_or(0);
        if line.is_latest {
            self.newest.clone_from(&line.id);
        }
    }
}

impl Walk {
    /// Takes a page of lines, of whatever order within it, and answers with the keys that are whole
    /// and have no object.
    fn take(&mut self, mut lines: Vec<Line>, is_over: bool) -> Vec<Listed> {
        lines.sort_by(|one, other| one.key.cmp(&other.key));
        let mut keys: Vec<Key> = self.open.take().into_iter().collect();
        for line in &lines {
            if keys.last().is_none_or(|key| key.key != line.key) {
                keys.push(Key {
                    key: line.key.clone(),
                    has_object: false,
                    newest: line.id.clone(),
                    size_bytes: 0,
                });
            }
            if let Some(key) = keys.last_mut() {
                key.take(line);
            }
        }
        self.is_over = is_over;
        if !is_over {
            self.open = keys.pop();
        }
        let without = keys.into_iter().filter(|key| !key.has_object);
        without
            .map(|key| Listed {
                key: key.key,
                size_bytes: key.size_bytes,
                tag: key.newest,
            })
            .collect()
    }
}

impl Objects {
    /// Keys without an object that have versions or markers all the same, some at a time, in their
    /// order; each with the bytes of all its versions and the name of the newest. `None`: that was
    /// all, or the store does not know the question.
    pub async fn old_versions(&self, walk: &mut Walk) -> Result<Option<Vec<Listed>>> {
        if walk.is_over {
            return Ok(None);
        }
        let (key, version) = walk.after.clone();
        let list = self
            .client
            .list_object_versions()
            .bucket(&self.bucket)
            .set_key_marker(key)
            .set_version_id_marker(version);
        let page = match list.send().await {
            Ok(page) => page,
            Err(error) if is_unknown(&error) => {
                walk.is_over = true;
                return Ok(None);
            }
            Err(error) => return self.seen(Side::Read, Err(fault("", error))),
        };
        let versions = page.versions().iter().filter_map(|one| {
            let size = one.size().and_then(|size| u64::try_from(size).ok());
            Some(Line {
                key: one.key()?.to_owned(),
                id: one.version_id().map(str::to_owned),
                size_bytes: Some(size.unwrap_or(0)),
                // What the store does not say is taken for an object.
                is_latest: one.is_latest().unwrap_or(true),
            })
        });
        let markers = page.delete_markers().iter().filter_map(|one| {
            Some(Line {
                key: one.key()?.to_owned(),
                id: one.version_id().map(str::to_owned),
                size_bytes: None,
                is_latest: one.is_latest().unwrap_or(false),
            })
        });
        let lines = versions.chain(markers).collect();
        walk.after = (
            page.next_key_marker().map(str::to_owned),
            page.next_version_id_marker().map(str::to_owned),
        );
        let is_over = !page.is_truncated().unwrap_or(false) || walk.after.0.is_none();
        let found = walk.take(lines, is_over);
        self.seen(Side::Read, Ok(Some(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, id: &str, size_bytes: Option<u64>, is_latest: bool) -> Line {
        Line {
            key: key.to_owned(),
            id: Some(id.to_owned()),
            size_bytes,
            is_latest,
        }
    }

    fn found(listed: Vec<Listed>) -> Vec<(String, u64, Option<String>)> {
        let each = |one: Listed| (one.key, one.size_bytes, one.tag);
        listed.into_iter().map(each).collect()
    }

    #[test]
    fn only_keys_without_an_object_are_found_wherever_pages_end() {
        let lines = || {
            vec![
                line("a", "a2", Some(5), true),
                line("a", "a1", Some(4), false),
                line("b", "b3", None, true),
                line("b", "b2", Some(3), false),
                line("b", "b1", Some(2), false),
                line("c", "c1", None, true),
                line("d", "d1", Some(9), true),
            ]
        };
        let wanted = vec![
            ("b".to_owned(), 5, Some("b3".to_owned())),
            ("c".to_owned(), 0, Some("c1".to_owned())),
        ];
        for at in 0..=lines().len() {
            let mut walk = Walk::default();
            let mut first = lines();
            let rest = first.split_off(at);
            let mut seen = walk.take(first, false);
            seen.extend(walk.take(rest, true));
            assert_eq!(found(seen), wanted, "{at}");
            assert!(walk.is_over);
        }
    }

    #[test]
    fn markers_that_come_behind_the_versions_are_of_their_keys() {
        let mut walk = Walk::default();
        let lines = vec![
            line("a", "a1", Some(1), false),
            line("b", "b1", Some(2), true),
            line("a", "a2", None, true),
        ];
        let wanted = vec![("a".to_owned(), 1, Some("a2".to_owned()))];
        assert_eq!(found(walk.take(lines, true)), wanted);
    }
}
