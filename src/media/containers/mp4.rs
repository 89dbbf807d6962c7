//! Makes an MP4 of one AAC track say the truth about its length, and puts its index in front.
//!
//! An encoder begins with samples of its own (priming) and ends on a whole frame. The muxer counts
//! both as sound. Here the edit list (ISO/IEC 14496-12, 8.6.6) names the part that is meant, to the
//! sample; every player honours it.

use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Both timescales: a sample is a tick.
const RATE: u32 = 48_000;
/// Samples per frame of AAC-LC.
pub const FRAME: u32 = 1_024;
/// No index of ours is larger: a day of frames needs 17 MB.
const INDEX_MAX: u64 = 64 << 20;

/// Copies the muxer's file `from` to `to`: the first `priming` samples and what follows `samples`
/// more are left out of the presentation.
pub fn finish(from: &Path, to: &Path, priming: u32, samples: u64) -> Result<()> {
    let mut source =
        File::open(from).with_context(|| format!("{} cannot be opened", from.display()))?;
    let parts = top_level(&mut source)?;
    let part = |kind: &[u8; 4]| parts.iter().find(|part| part.kind == *kind);
    let (head, sound) = (
        part(b"ftyp").context("no ftyp")?,
        part(b"mdat").context("no mdat")?,
    );
    let index = part(b"moov").context("no moov")?;
    if index.length > INDEX_MAX {
        bail!("an index of {} bytes", index.length);
    }
    let mut index = Atom::read(&load(&mut source, index)?)?;
    correct(&mut index, priming, samples)?;
    let length = index.length() as u64;
    // The sound was behind something and now is behind something else.
    let now = (head.header + head.length) + length + sound.header;
    shift(
        &mut index,
        i64::try_from(now)? - i64::try_from(sound.start)?,
    )?;

    let target = File::create(to).with_context(|| format!("{} cannot be created", to.display()))?;
    let mut target = BufWriter::new(target);
    let mut copy = |from: u64, length: u64, target: &mut BufWriter<File>| -> Result<()> {
        source.seek(SeekFrom::Start(from))?;
        let copied = io::copy(&mut Read::by_ref(&mut source).take(length), target)?;
        if copied == length {
            Ok(())
        } else {
            bail!("the muxer's file is short")
        }
    };
    copy(
        head.start - head.header,
        head.header + head.length,
        &mut target,
    )?;
    let mut bytes = Vec::with_capacity(index.length());
    index.write(&mut bytes);
    target.write_all(&bytes)?;
    copy(
        sound.start - sound.header,
        sound.header + sound.length,
        &mut target,
    )?;
    target
        .into_inner()
        .context("the mix cannot be written")?
        .sync_all()
        .context("the mix cannot be written")
}

/// Where a top-level box's content is.
struct Part {
    kind: [u8; 4],
    header: u64,
    start: u64,
    length: u64,
}

fn top_level(file: &mut File) -> Result<Vec<Part>> {
    let end = file.metadata()?.len();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < end {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        file.read_exact(&mut head[..8])
            .context("a box breaks off")?;
        let (size, kind) = (u64::from(u32_at(&head, 0)?), kind_at(&head, 4)?);
        let (header, size) = match size {
            0 => (8, end - at),
            1 => {
                file.read_exact(&mut head[8..])
                    .context("a box breaks off")?;
                (16, u64_at(&head, 8)?)
            }
            size => (8, size),
        };
        if size < header || at + size > end {
            bail!("a box of {size} bytes at {at}");
        }
        parts.push(Part {
            kind,
            header,
            start: at + header,
            length: size - header,
        });
        at += size;
    }
    Ok(parts)
}

/// A box with its header.
fn load(file: &mut File, part: &Part) -> Result<Vec<u8>> {
    file.seek(SeekFrom::Start(part.start - part.header))?;
    let mut bytes = vec![0; usize::try_from(part.header + part.length)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A box of the index.
struct Atom {
    kind: [u8; 4],
    body: Body,
}

enum Body {
    Bytes(Vec<u8>),
    Atoms(Vec<Atom>),
}

impl Atom {
    fn read(bytes: &[u8]) -> Result<Self> {
        let kind = kind_at(bytes, 4)?;
        let content = bytes.get(8..).context("a box without a header")?;
        let body = match &kind {
            b"moov" | b"trak" | b"edts" | b"mdia" | b"minf" | b"stbl" => {
                Body::Atoms(Self::read_all(content)?)
            }
            _ => Body::Bytes(content.to_vec()),
        };
        Ok(Self { kind, body })
    }

    fn read_all(mut bytes: &[u8]) -> Result<Vec<Self>> {
        let mut atoms = Vec::new();
        while !bytes.is_empty() {
            let size = u32_at(bytes, 0)? as usize;
            let (atom, rest) = bytes
                .split_at_checked(size)
                .filter(|_| size >= 8)
                .context("a box of the wrong size")?;
            atoms.push(Self::read(atom)?);
            bytes = rest;
        }
        Ok(atoms)
    }

    fn length(&self) -> usize {
        8 + match &self.body {
            Body::Bytes(bytes) => bytes.len(),
            Body::Atoms(atoms) => atoms.iter().map(Self::length).sum(),
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        // An index is shorter than INDEX_MAX.
        to.extend((self.length() as u32).to_be_bytes());
        to.extend(self.kind);
        match &self.body {
            Body::Bytes(bytes) => to.extend(bytes),
            Body::Atoms(atoms) => atoms.iter().for_each(|atom| atom.write(to)),
        }
    }

    fn atoms(&mut self) -> &mut Vec<Self> {
        if let Body::Bytes(_) = self.body {
            self.body = Body::Atoms(Vec::new());
        }
        match &mut self.body {
            Body::Atoms(atoms) => atoms,
            Body::Bytes(_) => unreachable!("made atoms above"),
        }
    }

    fn child(&mut self, path: &[&[u8; 4]]) -> Result<&mut Self> {
        let mut atom = self;
        for kind in path {
            atom = atom
                .atoms()
                .iter_mut()
                .find(|atom| atom.kind == **kind)
                .with_context(|| {
                    format!("no {} in the index", String::from_utf8_lossy(&kind[..]))
                })?;
        }
        Ok(atom)
    }

    fn bytes(&mut self) -> Result<&mut Vec<u8>> {
        match &mut self.body {
            Body::Bytes(bytes) => Ok(bytes),
            Body::Atoms(_) => bail!("a box of boxes"),
        }
    }
}

fn correct(index: &mut Atom, priming: u32, samples: u64) -> Result<()> {
    let frames = {
        let sizes = index
            .child(&[b"trak", b"mdia", b"minf", b"stbl", b"stsz"])?
            .bytes()?;
        u32_at(sizes, 8)?
    };
    let encoded = u64::from(frames) * u64::from(FRAME);
    if encoded < u64::from(priming) + samples {
        bail!("{frames} frames for {samples} samples");
    }
    let times = index
        .child(&[b"trak", b"mdia", b"minf", b"stbl", b"stts"])?
        .bytes()?;
    *times = [0, 1, frames, FRAME].map(u32::to_be_bytes).concat();

    let scale = set_length(
        index.child(&[b"trak", b"mdia", b"mdhd"])?.bytes()?,
        4,
        encoded,
    )?;
    let movie_scale = set_length(index.child(&[b"mvhd"])?.bytes()?, 4, samples)?;
    if scale != RATE || movie_scale != RATE {
        bail!("timescales of {scale} and {movie_scale}");
    }
    set_length(index.child(&[b"trak", b"tkhd"])?.bytes()?, 8, samples)?;

    let mut edits = vec![1, 0, 0, 0];
    edits.extend(1u32.to_be_bytes());
    edits.extend(samples.to_be_bytes());
    edits.extend(u64::from(priming).to_be_bytes());
    edits.extend(0x0001_0000u32.to_be_bytes());
    let edits = Atom {
        kind: *b"elst",
        body: Body::Bytes(edits),
    };
    let track = index.child(&[b"trak"])?.atoms();
    track.retain(|atom| atom.kind != *b"edts");
    let behind = track
        .iter()
        .position(|atom| atom.kind == *b"tkhd")
        .map_or(0, |at| at + 1);
    track.insert(
        behind,
        Atom {
            kind: *b"edts",
            body: Body::Atoms(vec![edits]),
        },
    );
    Ok(())
}

/// Writes the length into a header box: behind its two times, and `between` bytes more. Returns the
/// first number of these, the timescale in `mvhd` and `mdhd`.
fn set_length(header: &mut [u8], between: usize, length: u64) -> Result<u32> {
    let long = header.first() == Some(&1);
    let times = 4 + if long { 16 } else { 8 };
    let number = u32_at(header, times)?;
    let at = times + between;
    if long {
        header
            .get_mut(at..at + 8)
            .context("a short header")?
            .copy_from_slice(&length.to_be_bytes());
    } else {
        let length = u32::try_from(length).context("a mix longer than a day")?;
        header
            .get_mut(at..at + 4)
            .context("a short header")?
            .copy_from_slice(&length.to_be_bytes());
    }
    Ok(number)
}

/// Moves all chunks.
fn shift(index: &mut Atom, by: i64) -> Result<()> {
    for table in index.child(&[b"trak", b"mdia", b"minf", b"stbl"])?.atoms() {
        let width = match &table.kind {
            b"stco" => 4,
            b"co64" => 8,
            _ => continue,
        };
        for entry in table
            .bytes()?
            .get_mut(8..)
            .context("a short table")?
            .chunks_exact_mut(width)
        {
            let old = if width == 4 {
                i64::from(u32_at(entry, 0)?)
            } else {
                i64::try_from(u64_at(entry, 0)?)?
            };
            let new = old + by;
            match width {
                4 => entry
                    .copy_from_slice(&u32::try_from(new).context("a mix of 4 GiB")?.to_be_bytes()),
                _ => entry.copy_from_slice(&new.to_be_bytes()),
            }
        }
    }
    Ok(())
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let four = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .context("a box breaks off")?;
    Ok(u32::from_be_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    let eight = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .context("a box breaks off")?;
    Ok(u64::from_be_bytes(*eight))
}

fn kind_at(bytes: &[u8], at: usize) -> Result<[u8; 4]> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .context("a box breaks off")
}
