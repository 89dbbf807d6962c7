//! WAV files of PCMU and PCMA as they came, mono at 8 kHz (`WAVE_FORMAT_MULAW` and
//! `WAVE_FORMAT_ALAW`).
//!
//! WAV has no time stamps: a sample's place is its time. So holes are filled with silence, and a
//! sender whose clock is not ours gains or loses a sample now and then. A chunk of our own behind
//! the sound, which players skip, says which samples were recorded, so that [`Reader`] gives back
//! frames with the holes between them.

use crate::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::frame::Frame,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    borrow::Cow,
    collections::VecDeque,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// How every file begins.
pub(super) const RIFF: [u8; 4] = *b"RIFF";
/// The chunk of our own: first sample and number of samples of each run, as `u32`.
const RUNS: [u8; 4] = *b"hans";
/// From the beginning to the first sample.
const HEAD: u32 = 58;
/// Samples per second, each a byte.
const RATE: i64 = 8_000;
/// A sample, in microseconds.
const SAMPLE: i64 = 1_000_000 / RATE;
/// Frames are given in pieces of this length, as they mostly came: 20 ms.
const PIECE: u32 = 160;
/// A frame this far from the end of the last one begins a new run, or has its beginning cut: 5 ms,
/// what joining tells as a hole.
const EDGE: i64 = 40;
/// A sender's clock is followed by one sample in this many that it is off, so that what rounding of
/// time stamps makes changes nothing.
const FOLLOW: i64 = 8;
/// Of a frame at most one sample in this many is added or left out: a little more than
/// `domain/timeline` bends (2 %).
const BEND: i64 = 32;
/// What sizes of 32 bits allow, with room for the runs: 148 hours.
const SAMPLES_MAX: u64 = u32::MAX as u64 - (32 << 20);
/// Runs of a file that is read: far more than its sound has.
const RUNS_BYTES_MAX: u32 = 32 << 20;

/// `None`: the codec is none of G.711.
const fn format(codec: AudioCodec) -> Option<(u16, u8)> {
    match codec {
        AudioCodec::Pcma => Some((6, 0xd5)),
        AudioCodec::Pcmu => Some((7, 0xff)),
        AudioCodec::Opus => None,
    }
}

fn head(tag: u16, samples: u32, behind: u32) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD as usize);
    head.extend(RIFF);
    head.extend((HEAD - 8 + samples + behind).to_le_bytes());
    head.extend(b"WAVEfmt ");
    head.extend(18u32.to_le_bytes());
    head.extend(tag.to_le_bytes());
    head.extend(1u16.to_le_bytes());
    // Samples and bytes per second.
    head.extend((RATE as u32).to_le_bytes());
    head.extend((RATE as u32).to_le_bytes());
    head.extend(1u16.to_le_bytes());
    head.extend(8u16.to_le_bytes());
    head.extend(0u16.to_le_bytes());
    head.extend(b"fact");
    head.extend(4u32.to_le_bytes());
    head.extend(samples.to_le_bytes());
    head.extend(b"data");
    head.extend(samples.to_le_bytes());
    head
}

/// A file being written. Frames must come with rising time stamps.
pub struct Writer {
    file: BufWriter<File>,
    tag: u16,
    silence: u8,
    zero: MeetingTime,
    samples: u64,
    /// First sample and how many.
    runs: Vec<(u32, u32)>,
}

impl Writer {
    /// Creates the file. `zero` is the MeetingTime of its time 0, no later than the first frame.
    pub fn create(path: &Path, codec: AudioCodec, zero: MeetingTime) -> Result<Self> {
        let (tag, silence) = format(codec).with_context(|| format!("{} in WAV", codec.as_str()))?;
        let file =
            File::create(path).with_context(|| format!("{} cannot be created", path.display()))?;
        let mut file = BufWriter::with_capacity(1 << 16, file);
        file.write_all(&head(tag, 0, 0))
            .context("a track cannot be written")?;
        Ok(Self {
            file,
            tag,
            silence,
            zero,
            samples: 0,
            runs: Vec::new(),
        })
    }

    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        let due = ((frame.span.start - self.zero).0.max(0) + SAMPLE / 2) / SAMPLE;
        let ahead = due - i64::try_from(self.samples)?;
        if ahead > EDGE || self.runs.is_empty() {
            self.be_silent(ahead.max(0).unsigned_abs())?;
            self.runs.push((u32::try_from(self.samples)?, 0));
            return self.put(&frame.payload);
        }
        if ahead < -EDGE {
            let again = usize::try_from(-ahead)?.min(frame.payload.len());
            return self.put(&frame.payload[again..]);
        }
        self.put(&fitted(&frame.payload, ahead / FOLLOW))
    }

    fn be_silent(&mut self, mut samples: u64) -> Result<()> {
        let silence = [self.silence; 4096];
        while samples > 0 {
            let now = samples.min(silence.len() as u64);
            self.append(&silence[..now as usize])?;
            samples -= now;
        }
        Ok(())
    }

    fn put(&mut self, samples: &[u8]) -> Result<()> {
        self.append(samples)?;
        if let Some((_, count)) = self.runs.last_mut() {
            *count += u32::try_from(samples.len())?;
        }
        Ok(())
    }

    fn append(&mut self, samples: &[u8]) -> Result<()> {
        self.samples += samples.len() as u64;
        ensure!(
            self.samples <= SAMPLES_MAX,
            "a track of more than {} hours is too long for WAV",
            SAMPLES_MAX / 3_600 / RATE.unsigned_abs()
        );
        self.file
            .write_all(samples)
            .context("a track cannot be written")
    }

    /// Ends the file.
    pub fn finish(self) -> Result<()> {
        let samples = u32::try_from(self.samples)?;
        let pad = samples % 2;
        let runs = u32::try_from(8 * self.runs.len())?;
        let written = |mut file: BufWriter<File>| -> io::Result<()> {
            file.write_all(&[0][..pad as usize])?;
            file.write_all(&RUNS)?;
            file.write_all(&runs.to_le_bytes())?;
            for (from, count) in &self.runs {
                file.write_all(&from.to_le_bytes())?;
                file.write_all(&count.to_le_bytes())?;
            }
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&head(self.tag, samples, pad + 8 + runs))?;
            file.flush()
        };
        written(self.file).context("a track cannot be written")
    }
}

/// Longer or shorter by so many samples, as far as a frame is bent.
fn fitted(samples: &[u8], by: i64) -> Cow<'_, [u8]> {
    let length = samples.len() as i64;
    let by = by.clamp(-length / BEND, length / BEND);
    if by == 0 {
        return samples.into();
    }
    let bent = length + by;
    (0..bent)
        .map(|at| samples[(at * length / bent) as usize])
        .collect()
}

/// The frames of a file, in its order.
pub struct Reader {
    file: BufReader<File>,
    codec: AudioCodec,
    zero: MeetingTime,
    /// The sample that is read next.
    at: u32,
    /// First sample and the one behind the last.
    runs: VecDeque<(u32, u32)>,
}

impl Reader {
    /// Opens a file whose time 0 is `zero`. `None`: there is not one sample in it.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that we do not write.
    pub fn open(path: &Path, zero: MeetingTime) -> Result<Option<Self>> {
        let reading = || format!("reading {}", path.display());
        let mut file = BufReader::new(File::open(path).with_context(reading)?);
        let mut begin = [0; 12];
        file.read_exact(&mut begin).with_context(reading)?;
        ensure!(
            begin[..4] == RIFF && begin[8..] == *b"WAVE",
            "{} is no WAV file",
            path.display()
        );
        let (mut codec, mut sound, mut runs) = (None, None, None);
        while let Some((kind, size)) = chunk(&mut file).with_context(reading)? {
            let begins = file.stream_position()?;
            match &kind {
                b"fmt " => {
                    let mut format = [0; 16];
                    file.read_exact(&mut format).with_context(reading)?;
                    codec = Some(match format[..8] {
                        [6, 0, 1, 0, 0x40, 0x1f, 0, 0] => AudioCodec::Pcma,
                        [7, 0, 1, 0, 0x40, 0x1f, 0, 0] => AudioCodec::Pcmu,
                        _ => bail!("a format of sound that is none of ours"),
                    });
                }
                b"data" => sound = Some((begins, size)),
                _ if kind == RUNS && size <= RUNS_BYTES_MAX => {
                    let mut bytes = vec![0; size as usize];
                    file.read_exact(&mut bytes).with_context(reading)?;
                    runs = Some(bytes);
                }
                _ => {}
            }
            file.seek(SeekFrom::Start(
                begins + u64::from(size) + u64::from(size % 2),
            ))?;
        }
        let codec = codec.context("a WAV file without a format")?;
        let (begins, size) = sound.context("a WAV file without sound")?;
        let runs = runs.context("a WAV file that does not say what was recorded")?;
        let mut last = 0;
        let runs: VecDeque<(u32, u32)> = runs
            .as_chunks::<8>()
            .0
            .iter()
            .map(|[a, b, c, d, count @ ..]| {
                let from = u32::from_le_bytes([*a, *b, *c, *d]);
                (
                    from,
                    from.saturating_add(u32::from_le_bytes(*count)).min(size),
                )
            })
            // Whatever a disk makes of it, they rise.
            .filter(|(from, until)| {
                let rises = *from >= last && from < until;
                last = if rises { *until } else { last };
                rises
            })
            .collect();
        file.seek(SeekFrom::Start(begins))?;
        Ok((!runs.is_empty()).then_some(Self {
            file,
            codec,
            zero,
            at: 0,
            runs,
        }))
    }

    pub fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// The next frame, `None` at the end. A file that breaks off ends there.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        let Some((from, until)) = self.runs.front_mut() else {
            return Ok(None);
        };
        self.file.seek_relative(i64::from(*from - self.at))?;
        let count = (*until - *from).min(PIECE);
        let mut payload = vec![0; count as usize];
        match self.file.read_exact(&mut payload) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.runs.clear();
                return Ok(None);
            }
            Err(error) => return Err(error).context("reading a track"),
        }
        let start = self.zero + Micros(i64::from(*from) * SAMPLE);
        *from += count;
        self.at = *from;
        if from == until {
            self.runs.pop_front();
        }
        Ok(Some(Frame {
            payload: payload.into(),
            span: Span::of(start, Micros(i64::from(count) * SAMPLE)),
        }))
    }
}

/// The kind and size of the chunk that begins here; `None` at the end.
fn chunk(file: &mut impl Read) -> io::Result<Option<([u8; 4], u32)>> {
    let mut head = [0; 8];
    match file.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let [a, b, c, d, size @ ..] = head;
    Ok(Some(([a, b, c, d], u32::from_le_bytes(size))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("hansard-wav-{}-{name}", std::process::id()))
    }

    /// Writes frames of 20 ms that begin at these microseconds; answers with the file's sound, and
    /// where its frames are.
    fn written(name: &str, times: impl Iterator<Item = i64>) -> (Vec<u8>, Vec<(i64, usize)>) {
        let path = path(name);
        let mut writer =
            Writer::create(&path, AudioCodec::Pcma, MeetingTime::ZERO).expect("creates");
        for (n, at) in times.enumerate() {
            let frame = Frame {
                payload: vec![(n % 200) as u8; 160].into(),
                span: Span::of(MeetingTime(at), Micros::from_ms(20)),
            };
            writer.write(&frame).expect("writes");
        }
        writer.finish().expect("finishes");
        let mut reader = Reader::open(&path, MeetingTime::ZERO)
            .expect("opens")
            .expect("has sound");
        let mut back = Vec::new();
        while let Some(frame) = reader.read().expect("reads") {
            back.push((frame.span.start.0, frame.payload.len()));
        }
        let bytes = std::fs::read(&path).expect("reads");
        std::fs::remove_file(&path).expect("removes");
        let told = u32::from_le_bytes(bytes[54..58].try_into().expect("four"));
        let whole = u32::from_le_bytes(bytes[4..8].try_into().expect("four"));
        assert_eq!(whole as usize + 8, bytes.len());
        (bytes[58..58 + told as usize].to_vec(), back)
    }

    #[test]
    fn holes_are_silence_and_come_back_as_holes() {
        // 5 ms later is no hole, 100 ms are; and a frame that begins in the last one.
        let (sound, frames) = written("holes", [0, 20_000, 45_000, 165_000, 170_000].into_iter());
        assert_eq!(sound.len(), 8 * 190);
        assert!(sound[485..1320].iter().all(|byte| *byte == 0xd5));
        assert_eq!(sound[1320..1480], [3; 160]);
        assert_eq!(sound[1480..], [4; 40]);
        let starts: Vec<i64> = frames.iter().map(|(at, _)| *at).collect();
        assert_eq!(starts, [0, 20_000, 40_000, 60_000, 165_000, 185_000]);
        let samples: usize = frames.iter().map(|(_, samples)| samples).sum();
        assert_eq!(samples, 485 + 200);
    }

    #[test]
    fn rounded_time_stamps_change_nothing_and_a_clock_that_drifts_is_followed() {
        let (sound, _) = written("exact", (0..500).map(|n| n * 20_000 + n % 7 * 100));
        assert_eq!(sound.len(), 500 * 160);
        for ppm in [-1_000, 1_000, 20_000, -20_000] {
            let times = (0..2_000i64).map(|n| n * 20_000 + n * ppm / 50);
            let end = times.clone().next_back().expect("some") + 20_000;
            let (sound, frames) = written("drift", times);
            let off = sound.len() as i64 - end * 8 / 1_000;
            assert!(off.abs() <= 2 * EDGE, "{ppm}: {off}");
            let holes = frames
                .windows(2)
                .filter(|two| (two[0].0 + two[0].1 as i64 * SAMPLE - two[1].0).abs() > SAMPLE);
            assert_eq!(holes.count(), 0, "{ppm}");
        }
    }

    /// Whatever a disk makes of a file, reading it ends.
    #[test]
    fn changed_bytes_are_survived() {
        let path = path("changed");
        let mut writer =
            Writer::create(&path, AudioCodec::Pcmu, MeetingTime::ZERO).expect("creates");
        for n in 0..40 {
            let frame = Frame {
                payload: vec![n as u8; 160].into(),
                span: Span::of(MeetingTime::from_ms(40 * n), Micros::from_ms(20)),
            };
            writer.write(&frame).expect("writes");
        }
        writer.finish().expect("finishes");
        let whole = std::fs::read(&path).expect("reads");
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..1_000 {
            let mut changed = whole.clone();
            for _ in 0..random.usize(1..4) {
                let at = [random.usize(..64), random.usize(..changed.len())][random.usize(..2)];
                changed[at] = random.u8(..);
            }
            changed.truncate(random.usize(..=whole.len()));
            std::fs::write(&path, &changed).expect("writes");
            if let Ok(Some(mut reader)) = Reader::open(&path, MeetingTime::ZERO) {
                let mut samples = 0;
                while let Ok(Some(frame)) = reader.read() {
                    samples += frame.payload.len();
                }
                assert!(samples <= whole.len(), "{samples}");
            }
        }
        std::fs::remove_file(&path).expect("removes");
    }
}
