//! Which versions of a key there are, and what a write or a deletion changes: decisions without IO.
//!
//! A version's number is higher than those before it. The pointer names the current version, and
//! with it says how far numbers count: a file with a higher number was never acknowledged. Of
//! several files with one id (an overwritten `null`) the highest counts.

/// What a bucket does with earlier versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versioning {
    /// A write replaces, a deletion deletes.
    #[default]
    Off,
    Enabled,
    /// As `Off` from now on; versions from before stay.
    Suspended,
}

/// The id of what is written without versioning.
pub const NULL: &str = "null";

/// A version's file, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub number: u64,
    pub id: String,
    /// Says that the key was deleted; has no content.
    pub is_marker: bool,
}

const MARKER: &str = "marker";

impl Entry {
    pub fn file_name(&self) -> String {
        let ending = if self.is_marker { ".marker" } else { "" };
        format!("{:016x}.{}{ending}", self.number, self.id)
    }

    pub fn of(file_name: &str) -> Option<Self> {
        let mut parts = file_name.split('.');
        let (number, id, ending) = (parts.next()?, parts.next()?, parts.next());
        let is_marker = ending == Some(MARKER);
        let is_ours = number.len() == 16
            && !id.is_empty()
            && id != RESTORE
            && (ending.is_none() || is_marker)
            && parts.next().is_none();
        Some(Self {
            number: u64::from_str_radix(number, 16).ok().filter(|_| is_ours)?,
            id: id.to_owned(),
            is_marker,
        })
    }

    /// The file that says what became of a restore.
    pub fn restore_name(&self) -> String {
        restore_name(self.number)
    }
}

const RESTORE: &str = "restore";

fn restore_name(number: u64) -> String {
    format!("{number:016x}.{RESTORE}")
}

/// What stands in a key's folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    restores: Vec<u64>,
    /// The number that the pointer names.
    pointer: u64,
}

/// A new version, and which files it makes superfluous.
#[derive(PartialEq, Eq, Debug)]
pub struct Writing {
    pub entry: Entry,
    pub superseded: Vec<Entry>,
}

#[derive(PartialEq, Eq, Debug)]
pub enum Deletion {
    /// There is no such version: that is no error.
    Nothing,
    Mark(Writing),
    Remove {
        /// The pointer is first set to this one, or removed.
        current: Option<Entry>,
        /// Then these go, in this order.
        files: Vec<Entry>,
        was_marker: bool,
    },
}

impl History {
    /// From the names in a key's folder and the content of its pointer. Other names are not ours.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, pointer: Option<&str>) -> Self {
        let mut history = Self {
            pointer: pointer
                .and_then(|pointer| Entry::of(pointer.trim()))
                .map_or(0, |entry| entry.number),
            ..Self::default()
        };
        for name in names {
            if let Some(entry) = Entry::of(name) {
                history.entries.push(entry);
            } else if let Some((number, RESTORE)) = name.split_once('.')
                && let Ok(number) = u64::from_str_radix(number, 16)
            {
                history.restores.push(number);
            }
        }
        history.entries.sort_by_key(|entry| entry.number);
        history
    }

    fn counts(&self, entry: &Entry) -> bool {
        entry.number <= self.pointer
            && !self.entries.iter().any(|other| {
                other.id == entry.id && (entry.number + 1..=self.pointer).contains(&other.number)
            })
    }

    /// Those that count, newest first.
    pub fn versions(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev().filter(|entry| self.counts(entry))
    }

    pub fn current(&self) -> Option<&Entry> {
        self.versions().next()
    }

    pub fn find(&self, id: &str) -> Option<&Entry> {
        self.versions().find(|entry| entry.id == id)
    }

    /// Names of files that count no more or never did.
    pub fn leftovers(&self) -> Vec<String> {
        let files = self.entries.iter().filter(|entry| !self.counts(entry));
        let restores = self.restores.iter().filter(|number| {
            !self
                .entries
                .iter()
                .any(|entry| entry.number == **number && self.counts(entry))
        });
        files
            .map(Entry::file_name)
            .chain(restores.map(|number| restore_name(*number)))
            .collect()
    }

    /// A new version; `fresh` is its id where each has its own.
    pub fn write(&self, versioning: Versioning, fresh: &str, is_marker: bool) -> Writing {
        let id = match versioning {
            Versioning::Enabled => fresh,
            Versioning::Off | Versioning::Suspended => NULL,
        };
        let number = self
            .entries
            .last()
            .map_or(0, |last| last.number)
            .max(self.pointer)
            + 1;
        Writing {
            entry: Entry {
                number,
                id: id.to_owned(),
                is_marker,
            },
            superseded: self.with_id(id),
        }
    }

    /// What a deletion does, of a version by its id or of the key.
    pub fn delete(&self, versioning: Versioning, id: Option<&str>, fresh: &str) -> Deletion {
        let id = match (id, versioning) {
            (Some(id), _) => id,
            (None, Versioning::Off) => NULL,
            (None, _) => return Deletion::Mark(self.write(versioning, fresh, true)),
        };
        let Some(found) = self.find(id) else {
            return Deletion::Nothing;
        };
        Deletion::Remove {
            current: self.versions().find(|entry| entry.id != id).cloned(),
            files: self.with_id(id),
            was_marker: found.is_marker,
        }
    }

    /// From the oldest on: what was overwritten must not come back for a moment.
    fn with_id(&self, id: &str) -> Vec<Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.id == id)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, id: &str) -> Entry {
        Entry {
            number,
            id: id.to_owned(),
            is_marker: false,
        }
    }

    fn history(entries: &[Entry], pointer: u64) -> History {
        let names: Vec<_> = entries.iter().map(Entry::file_name).collect();
        let pointer = (pointer > 0).then(|| entry(pointer, "x").file_name());
        History::new(names.iter().map(String::as_str), pointer.as_deref())
    }

    #[test]
    fn names_read_back_and_others_are_not_ours() {
        for is_marker in [false, true] {
            let made = Entry {
                is_marker,
                ..entry(18, "null")
            };
            assert_eq!(Entry::of(&made.file_name()), Some(made));
        }
        for name in [
            "current",
            "12.null",
            "0000000000000001",
            "0000000000000001.a.b",
            "",
        ] {
            assert_eq!(Entry::of(name), None, "{name}");
        }
        assert_eq!(Entry::of(&entry(1, "a").restore_name()), None);
    }

    #[test]
    fn what_the_pointer_does_not_reach_was_never_written() {
        let unfinished = history(&[entry(1, NULL), entry(2, NULL)], 1);
        assert_eq!(unfinished.current(), Some(&entry(1, NULL)));
        assert_eq!(unfinished.leftovers(), [entry(2, NULL).file_name()]);
        let none = history(&[entry(1, NULL)], 0);
        assert_eq!((none.current(), none.leftovers().len()), (None, 1));
        assert_eq!(none.find(NULL), None);
    }

    #[test]
    fn what_was_overwritten_counts_no_more() {
        let between = history(&[entry(1, NULL), entry(2, NULL)], 2);
        assert_eq!(between.versions().collect::<Vec<_>>(), [&entry(2, NULL)]);
        assert_eq!(between.leftovers(), [entry(1, NULL).file_name()]);
        // A pointer to what is gone: the one before it.
        assert_eq!(history(&[entry(1, "a")], 2).current(), Some(&entry(1, "a")));
    }

    #[test]
    fn writing_replaces_where_versions_are_off() {
        let before = history(&[entry(1, NULL)], 1);
        let written = before.write(Versioning::Off, "fresh", false);
        assert_eq!(written.entry, entry(2, NULL));
        assert_eq!(written.superseded, [entry(1, NULL)]);
        let written = before.write(Versioning::Enabled, "fresh", false);
        assert_eq!(
            (written.entry, written.superseded),
            (entry(2, "fresh"), vec![])
        );
        let mixed = history(&[entry(1, "a"), entry(2, NULL), entry(3, "b")], 3);
        let written = mixed.write(Versioning::Suspended, "fresh", false);
        assert_eq!(
            (written.entry, written.superseded),
            (entry(4, NULL), vec![entry(2, NULL)])
        );
    }

    #[test]
    fn deleting_marks_or_removes() {
        let two = history(&[entry(1, "a"), entry(2, "b")], 2);
        let marked = two.delete(Versioning::Enabled, None, "m");
        let Deletion::Mark(Writing { entry: marker, .. }) = marked else {
            panic!("{marked:?}")
        };
        assert!(marker.is_marker && marker.id == "m" && marker.number == 3);
        assert_eq!(
            two.delete(Versioning::Enabled, Some("b"), "m"),
            Deletion::Remove {
                current: Some(entry(1, "a")),
                files: vec![entry(2, "b")],
                was_marker: false
            }
        );
        // One that is not current: the pointer stays.
        assert_eq!(
            two.delete(Versioning::Enabled, Some("a"), "m"),
            Deletion::Remove {
                current: Some(entry(2, "b")),
                files: vec![entry(1, "a")],
                was_marker: false
            }
        );
        assert_eq!(
            two.delete(Versioning::Enabled, Some("c"), "m"),
            Deletion::Nothing
        );
        // Overwritten and not yet cleared away: both go, the old one first.
        let stale = history(&[entry(1, NULL), entry(2, NULL)], 2);
        assert_eq!(
            stale.delete(Versioning::Off, None, "m"),
            Deletion::Remove {
                current: None,
                files: vec![entry(1, NULL), entry(2, NULL)],
                was_marker: false
            }
        );
    }

    #[test]
    fn a_restore_goes_with_its_version() {
        let names = [
            entry(1, "a").file_name(),
            entry(1, "a").restore_name(),
            entry(9, "a").restore_name(),
        ];
        let pointer = entry(1, "a").file_name();
        let kept = History::new(names.iter().map(String::as_str), Some(&pointer));
        assert_eq!(kept.leftovers(), [entry(9, "a").restore_name()]);
    }
}
