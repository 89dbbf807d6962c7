//! Made anew without re-encoding: [`keep`] trims or repairs a segment, [`digest`] and [`inspect`]
//! say what is in it, [`rewrap`] gives a track another container.

use super::redundancy;
use crate::{
    domain::{
        codec::AudioCodec,
        consent,
        recording::{recut::is_within, union},
        redaction,
        time::{MeetingTime, Span},
    },
    media::{
        containers::{
            matroska::{Reader, Shape, Writer},
            track,
        },
        frame::Frame,
    },
};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// What is in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// From the first frame to the end of the last.
    pub span: Span,
    pub frames: u64,
}

/// Size in bytes and SHA-256 in lower-case hex.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digested {
    pub size: u64,
    pub sha256: String,
}

/// Reads a whole file for its checksum, in pieces.
pub fn digest(path: &Path) -> Result<Digested> {
    let mut file =
        File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut sha = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let read = file
            .read(&mut piece)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        if read == 0 {
            return Ok(Digested {
                size,
                sha256: consent::hex(&sha.finalize()),
            });
        }
        sha.update(&piece[..read]);
        size += read as u64;
    }
}

/// What a segment holds, as far as it can be read.
pub fn inspect(path: &Path) -> Result<Option<Content>> {
    let mut content: Option<Content> = None;
    let Some(mut reader) = Reader::open(path, MeetingTime::ZERO)? else {
        return Ok(None);
    };
    while let Some(frame) = reader.read()? {
        content = Some(grown(content, &frame));
    }
    Ok(content)
}

pub(super) fn grown(content: Option<Content>, frame: &Frame) -> Content {
    content.map_or(
        Content {
            span: frame.span,
            frames: 1,
        },
        |content| Content {
            span: content.span.cover(frame.span),
            frames: content.frames + 1,
        },
    )
}

/// Rewrites a segment with only those frames that lie wholly within `allowed`; a torn end is gone
/// afterwards, too. The file is replaced at once or not at all. `None`: nothing was left, and the
/// file is removed.
pub fn keep(path: &Path, allowed: &[Span]) -> Result<Option<Content>> {
    keep_without(path, allowed, &[])
}

/// The same, without every packet that holds sound of `redacted`.
///
/// # Errors
/// When it cannot be read, or not be replaced.
pub fn keep_without(path: &Path, allowed: &[Span], redacted: &[Span]) -> Result<Option<Content>> {
    let beside = path.with_extension("mkv.part");
    let made = Unfinished(beside.clone());
    let content = copy_allowed(path, &beside, &Kept::new(allowed, redacted))?;
    if content.is_some() {
        fs::rename(&beside, path)
            .with_context(|| format!("{} cannot be replaced", path.display()))?;
        made.finished();
    } else {
        fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(content)
}

/// Writes the frames of a track whose time 0 is `zero` into the container that tracks have today,
/// at their times.
///
/// # Errors
/// When it cannot be read, holds no frame, or `to` cannot be written; `to` is removed then.
pub fn rewrap(from: &Path, zero: MeetingTime, to: &Path) -> Result<AudioCodec> {
    let made = Unfinished(to.to_owned());
    let mut reader = track::Reader::open(from, zero)?.context("the track holds nothing")?;
    let codec = reader.codec();
    let mut writer = track::Writer::create(to, codec, reader.channels(), zero)?;
    while let Some(frame) = reader.read()? {
        writer.write(&frame)?;
    }
    writer.finish()?;
    made.finished();
    Ok(codec)
}

/// What of a file stays.
pub(super) struct Kept {
    allowed: Vec<Span>,
    redacted: Vec<Span>,
}

impl Kept {
    pub fn new(allowed: &[Span], redacted: &[Span]) -> Self {
        Self {
            allowed: union(allowed),
            redacted: union(redacted),
        }
    }

    /// Whether a frame lies wholly in what is allowed, and holds nothing of what is redacted.
    pub fn has(&self, frame: &Frame, codec: AudioCodec) -> bool {
        let repeats = || redundancy::repeats(codec, &frame.payload);
        is_within(frame.span, &self.allowed)
            && (self.redacted.is_empty()
                || !redaction::goes(frame.span, codec.delay(), repeats(), &self.redacted))
    }
}

fn copy_allowed(from: &Path, to: &Path, kept: &Kept) -> Result<Option<Content>> {
    let Some(mut reader) = Reader::open(from, MeetingTime::ZERO)? else {
        return Ok(None);
    };
    let mut writer = None;
    let mut content: Option<Content> = None;
    while let Some(frame) = reader.read()? {
        if !kept.has(&frame, reader.codec()) {
            continue;
        }
        if writer.is_none() {
            writer = Some(Writer::create(
                to,
                Shape::Segment,
                reader.codec(),
                reader.channels(),
                MeetingTime::ZERO,
            )?);
        }
        if let Some(writer) = &writer {
            writer.write(&frame)?;
        }
        content = Some(grown(content, &frame));
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
    Ok(content)
}

/// A file that is removed unless it was finished.
pub(crate) struct Unfinished(pub PathBuf);

impl Unfinished {
    pub fn finished(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Mostly it was never made.
        let _ = fs::remove_file(&self.0);
    }
}
