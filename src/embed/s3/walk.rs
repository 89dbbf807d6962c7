//! Keys in their order, a page at a time, without reading more than is asked for.

use super::{
    format::Version,
    place::Part,
    refusal::Refusal,
    store::{Result, Store},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What whoever looks at a key wants next.
enum Next {
    On,
    /// No more keys that begin so.
    Skip(String),
    Stop,
}

/// Where a walk begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Begin {
    /// Behind this key, or at it.
    pub key: String,
    pub is_included: bool,
    /// Behind all keys that begin so.
    pub skip: Option<String>,
}

/// One line of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    Object(Box<Version>),
    /// All keys that begin so, up to the delimiter.
    Prefix(String),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    pub items: Vec<Item>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<Begin>,
}

/// A version in a listing, and whether it is its key's current one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub version: Version,
    pub is_current: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionPage {
    pub items: Vec<Listed>,
    pub prefixes: Vec<String>,
    pub is_truncated: bool,
}

struct Walk<'a> {
    prefix: &'a str,
    begin: &'a Begin,
    skip: Option<String>,
}

impl Walk<'_> {
    /// Whether keys that begin so, or are so, can be wanted.
    fn wants(&self, part: &Part, name: &str) -> bool {
        if self
            .skip
            .as_ref()
            .is_some_and(|skip| name.starts_with(skip))
        {
            return false;
        }
        let after = self.begin.key.as_str();
        match part {
            Part::Key(_) => {
                let behind = name > after || (self.begin.is_included && name == after);
                behind && name.starts_with(self.prefix)
            }
            Part::Prefix(_) => {
                let behind = name >= after || after.starts_with(name);
                behind && (name.starts_with(self.prefix) || self.prefix.starts_with(name))
            }
        }
    }

    /// `false` when it was stopped.
    fn go(
        &mut self,
        folder: &Path,
        before: &str,
        see: &mut dyn FnMut(&str, &Path) -> Result<Next>,
    ) -> Result<bool> {
        for (part, path) in parts(folder)? {
            let name = format!("{before}{}", part.as_str());
            if !self.wants(&part, &name) {
                continue;
            }
            if matches!(part, Part::Prefix(_)) {
                if !self.go(&path, &name, see)? {
                    return Ok(false);
                }
                continue;
            }
            match see(&name, &path)? {
                Next::On => {}
                Next::Skip(prefix) => self.skip = Some(prefix),
                Next::Stop => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// What stands in a folder, in the order of keys.
fn parts(folder: &Path) -> io::Result<Vec<(Part, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Its last key was deleted meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let part = Part::of(entry.file_name().to_str()?)?;
            Some((part, entry.path()))
        })
        .collect();
    parts.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    Ok(parts)
}

/// What stands for a key where keys are grouped; `None` for itself.
fn group<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key.get(prefix.len()..)?.find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

impl Store {
    /// The objects of a bucket, at most `limit` lines.
    pub fn list(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        begin: &Begin,
        limit: usize,
    ) -> Result<Page> {
        self.bucket(bucket)?;
        let mut page = Page::default();
        let mut last = Begin::default();
        if limit == 0 {
            return Ok(page);
        }
        let mut walk = Walk {
            prefix,
            begin,
            skip: begin.skip.clone(),
        };
        walk.go(&self.objects(bucket), "", &mut |key, _| {
            let version = match self.open_version(bucket, key, None) {
                Ok(opened) => opened.version,
                Err(Refusal::NoKey | Refusal::Deleted(_)) => return Ok(Next::On),
                Err(error) => return Err(error),
            };
            if page.items.len() == limit {
                page.next = Some(last.clone());
                return Ok(Next::Stop);
            }
            last = Begin {
                key: key.to_owned(),
                is_included: false,
                skip: None,
            };
            match group(key, prefix, delimiter) {
                None => {
                    page.items.push(Item::Object(Box::new(version)));
                    Ok(Next::On)
                }
                Some(group) => {
                    page.items.push(Item::Prefix(group.to_owned()));
                    last.skip = Some(group.to_owned());
                    Ok(Next::Skip(group.to_owned()))
                }
            }
        })?;
        Ok(page)
    }

    /// All versions of a bucket's keys, newest first within a key, at most `limit`, behind
    /// `version` of the key where the walk begins.
    pub fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        begin: &Begin,
        version: Option<&str>,
        limit: usize,
    ) -> Result<VersionPage> {
        self.bucket(bucket)?;
        let mut page = VersionPage::default();
        if limit == 0 {
            return Ok(page);
        }
        let mut walk = Walk {
            prefix,
            begin,
            skip: None,
        };
        walk.go(&self.objects(bucket), "", &mut |key, folder| {
            let full = |page: &VersionPage| page.items.len() + page.prefixes.len() >= limit;
            let history = Self::history(folder)?;
            if history.current().is_none() {
                return Ok(Next::On);
            }
            if let Some(group) = group(key, prefix, delimiter) {
                if full(&page) {
                    page.is_truncated = true;
                    return Ok(Next::Stop);
                }
                page.prefixes.push(group.to_owned());
                return Ok(Next::Skip(group.to_owned()));
            }
            let behind = version
                .filter(|_| key == begin.key)
                .and_then(|id| history.find(id))
                .map(|entry| entry.number);
            for (n, entry) in history.versions().enumerate() {
                if behind.is_some_and(|number| entry.number >= number) {
                    continue;
                }
                if full(&page) {
                    page.is_truncated = true;
                    return Ok(Next::Stop);
                }
                if let Some(opened) = self.open_entry(folder, entry)? {
                    page.items.push(Listed {
                        version: opened.version,
                        is_current: n == 0,
                    });
                }
            }
            Ok(Next::On)
        })?;
        Ok(page)
    }

    /// Removes what kills have left of a bucket's keys: folders without a version, files that never
    /// counted.
    pub(super) fn sweep_bucket(&self, bucket: &str) -> io::Result<()> {
        self.sweep_below(bucket, &self.objects(bucket))
    }

    fn sweep_below(&self, bucket: &str, folder: &Path) -> io::Result<()> {
        for (part, path) in parts(folder)? {
            match part {
                Part::Key(_) => self.sweep_key(bucket, &path)?,
                Part::Prefix(_) => self.sweep_below(bucket, &path)?,
            }
        }
        self.remove_empty(bucket, folder);
        Ok(())
    }

    /// The same for all buckets, until told to stop.
    pub fn sweep(&self, is_stopped: &dyn Fn() -> bool) -> Result<()> {
        for (bucket, _) in self.list_buckets()? {
            for (part, path) in parts(&self.objects(&bucket))? {
                if is_stopped() {
                    return Ok(());
                }
                match part {
                    Part::Key(_) => self.sweep_key(&bucket, &path)?,
                    Part::Prefix(_) => self.sweep_below(&bucket, &path)?,
                }
            }
        }
        Ok(())
    }
}
