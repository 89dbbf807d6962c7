//! Finishes an MP4 file of one AAC track: the index (`moov`) goes before the media, so that playing starts at once, and
//! an edit list tells which samples are sound and which the encoder's priming and padding (ISO/IEC 14496-12 section 8.6.6).

use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write, copy},
    path::Path,
};

/// No index of ours is larger: 12 bytes for each of the 170,000 frames of an hour, and meetings of a day.
const INDEX_BYTES_MAX: u64 = 256 << 20;

/// What the file holds, in samples of its track.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edit {
    pub priming: u64,
    pub length: u64,
    /// Samples per coded frame.
    pub frame: u32,
}

/// Writes `to` from `from`. Movie and track must count in samples (time scale = sampling rate).
pub fn finish(from: &Path, to: &Path, edit: Edit) -> Result<()> {
    let mut source = File::open(from).context("the encoded mix cannot be opened")?;
    let boxes = top_level(&mut source)?;
    let find = |kind: &[u8; 4]| {
        boxes.iter().find(|(name, ..)| name == kind).with_context(|| format!("no {}", String::from_utf8_lossy(kind)))
    };
    let (_, head_at, head_size) = *find(b"ftyp")?;
    let (_, index_at, index_size) = *find(b"moov")?;
    let (_, media_at, media_size) = *find(b"mdat")?;
    ensure!(index_size <= INDEX_BYTES_MAX, "an index of {index_size} bytes");
    source.seek(SeekFrom::Start(index_at))?;
    let mut index = vec![0; usize::try_from(index_size)?];
    source.read_exact(&mut index)?;
    // The new index has the same size whatever the shift is.
    let size = rewritten(&index, edit, 0)?.len() as u64;
    let shift = i64::try_from(head_size + size)? - i64::try_from(media_at)?;
    let index = rewritten(&index, edit, shift)?;

    let mut sink = BufWriter::new(File::create(to).context("the mix cannot be written")?);
    source.seek(SeekFrom::Start(head_at))?;
    copy(&mut (&mut source).take(head_size), &mut sink)?;
    sink.write_all(&index)?;
    source.seek(SeekFrom::Start(media_at))?;
    let copied = copy(&mut (&mut source).take(media_size), &mut sink)?;
    ensure!(copied == media_size, "the encoded mix is shorter than it says");
    sink.flush().context("the mix cannot be written")
}

/// Kind, place and size of each box of the file.
fn top_level(file: &mut File) -> Result<Vec<([u8; 4], u64, u64)>> {
    let end = file.metadata()?.len();
    let mut boxes = Vec::new();
    let mut at = 0;
    while at + 8 <= end {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        let got = usize::try_from((end - at).min(16))?;
        file.read_exact(&mut head[..got])?;
        let size = match u32_at(&head, 0)? {
            0 => end - at,
            1 if got == 16 => u64_at(&head, 8)?,
            small => u64::from(small),
        };
        ensure!(size >= 8 && at + size <= end, "a box that does not fit into its file");
        boxes.push(([head[4], head[5], head[6], head[7]], at, size));
        at += size;
    }
    Ok(boxes)
}

/// A box with its children rewritten.
fn rewritten(whole: &[u8], edit: Edit, shift: i64) -> Result<Vec<u8>> {
    let kind = whole.get(4..8).context("a box without a name")?;
    let body = whole.get(8..).context("a box without a body")?;
    let body = match kind {
        b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => {
            let mut made = Vec::with_capacity(body.len() + 64);
            let mut rest = body;
            while !rest.is_empty() {
                let size = u32_at(rest, 0)? as usize;
                ensure!(size >= 8 && size <= rest.len(), "a box that does not fit into its parent");
                let (child, behind) = rest.split_at(size);
                rest = behind;
                let name = &child[4..8];
                if name == b"edts" {
                    continue;
                }
                made.extend(rewritten(child, edit, shift)?);
                if name == b"tkhd" {
                    made.extend(edit_list(edit)?);
                }
            }
            made
        }
        b"mvhd" => with_duration(body, 16, 24, edit.length)?,
        b"tkhd" => with_duration(body, 20, 28, edit.length)?,
        b"stts" => one_length(body, edit)?,
        b"stco" => shifted::<4>(body, shift)?,
        b"co64" => shifted::<8>(body, shift)?,
        _ => return Ok(whole.to_vec()),
    };
    boxed(kind, &body)
}

fn boxed(kind: &[u8], body: &[u8]) -> Result<Vec<u8>> {
    let size = u32::try_from(body.len() + 8).context("a box over 4 GiB")?;
    Ok([&size.to_be_bytes(), kind, body].concat())
}

fn edit_list(edit: Edit) -> Result<Vec<u8>> {
    let mut list = vec![0; 4];
    list.extend(1u32.to_be_bytes());
    if let (Ok(length), Ok(priming)) = (u32::try_from(edit.length), i32::try_from(edit.priming)) {
        list.extend(length.to_be_bytes());
        list.extend(priming.to_be_bytes());
    } else {
        list[0] = 1;
        list.extend(edit.length.to_be_bytes());
        list.extend(edit.priming.to_be_bytes());
    }
    list.extend(0x0001_0000u32.to_be_bytes());
    boxed(b"edts", &boxed(b"elst", &list)?)
}

/// `mvhd` and `tkhd`: the duration stands at one of two places, by version.
fn with_duration(body: &[u8], narrow: usize, wide: usize, length: u64) -> Result<Vec<u8>> {
    let mut body = body.to_vec();
    let (at, bytes) = match body.first() {
        Some(0) => (narrow, u32::try_from(length).context("too long for its header")?.to_be_bytes().to_vec()),
        Some(1) => (wide, length.to_be_bytes().to_vec()),
        _ => bail!("a header of an unknown version"),
    };
    body.get_mut(at..at + bytes.len()).context("a header cut short")?.copy_from_slice(&bytes);
    Ok(body)
}

/// Every frame is as long as the codec makes it, whatever the clock's rounding said.
fn one_length(body: &[u8], edit: Edit) -> Result<Vec<u8>> {
    let entries = u32_at(body, 4)? as usize;
    let count: u32 = (0..entries).map(|n| u32_at(body, 8 + 8 * n)).sum::<Result<u32>>()?;
    Ok([&body[..4], &1u32.to_be_bytes(), &count.to_be_bytes(), &edit.frame.to_be_bytes()].concat())
}

/// Chunk offsets of `N` bytes each, moved.
fn shifted<const N: usize>(body: &[u8], shift: i64) -> Result<Vec<u8>> {
    let mut body = body.to_vec();
    for place in body.get_mut(8..).context("a table cut short")?.chunks_exact_mut(N) {
        let old = place.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let new = old.checked_add_signed(shift).context("a chunk before its file")?;
        let bytes = new.to_be_bytes();
        ensure!(bytes[..8 - N].iter().all(|byte| *byte == 0), "a chunk beyond 4 GiB");
        place.copy_from_slice(&bytes[8 - N..]);
    }
    Ok(body)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let four = bytes.get(at..at + 4).context("a box cut short")?;
    Ok(u32::from_be_bytes(four.try_into().expect("four bytes")))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    let eight = bytes.get(at..at + 8).context("a box cut short")?;
    Ok(u64::from_be_bytes(eight.try_into().expect("eight bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDIT: Edit = Edit { priming: 1_024, length: 48_000, frame: 1_024 };

    #[test]
    fn rewrites_what_must_change_and_nothing_else() {
        let table = |entries: &[u32]| -> Vec<u8> {
            [0, entries.len() as u32].iter().chain(entries).flat_map(|n| n.to_be_bytes()).collect()
        };
        let stts: Vec<u8> = [0u32, 2, 40, 1_024, 8, 1_023].iter().flat_map(|n| n.to_be_bytes()).collect();
        let stbl = [
            boxed(b"stsd", b"as it was").expect("boxes"),
            boxed(b"stts", &stts).expect("boxes"),
            boxed(b"stco", &table(&[48, 1_000])).expect("boxes"),
        ]
        .concat();
        let trak = [
            boxed(b"tkhd", &[0; 84]).expect("boxes"),
            boxed(b"edts", b"an old one").expect("boxes"),
            boxed(b"mdia", &boxed(b"minf", &boxed(b"stbl", &stbl).expect("boxes")).expect("boxes")).expect("boxes"),
        ]
        .concat();
        let moov = boxed(b"moov", &boxed(b"trak", &trak).expect("boxes")).expect("boxes");
        let new = rewritten(&moov, EDIT, 700).expect("rewrites");
        let has = |bytes: &[u8]| new.windows(bytes.len()).any(|window| window == bytes);
        assert!(has(b"stsdas it was") && !has(b"an old one"));
        assert!(has(&[b"stts".as_slice(), &table(&[])[..4], &[0, 0, 0, 1, 0, 0, 0, 48, 0, 0, 4, 0]].concat()));
        assert!(has(&table(&[748, 1_700])));
        let elst = [b"elst".as_slice(), &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xbb, 0x80, 0, 0, 4, 0, 0, 1, 0, 0]].concat();
        assert!(has(&elst));
        assert!(rewritten(&moov, EDIT, -100).is_err(), "a chunk before its file");
    }

    #[test]
    fn garbage_is_an_error() {
        for bytes in [&b""[..], b"\0\0\0\x09moov\0", b"\0\0\0\x10moov\0\0\0\x63trak", b"\0\0\0\x0amvhd\x05\0"] {
            assert!(rewritten(bytes, EDIT, 0).is_err(), "{bytes:?}");
        }
    }
}
