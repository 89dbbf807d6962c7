//! Where objects lie in the bucket. Keys are made and read here only: tiers, erasure and whoever
//! takes over a meeting must find everything.

use crate::{
    id::{MeetingId, RecordingId, TenantId},
    media_type::MediaType,
    recording::RecordingKind,
};
use std::fmt;
use uuid::Uuid;

/// Whether a key has the letters and the form of ours.
pub fn is_plain(key: &str) -> bool {
    key.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
        && !key.split('/').any(|part| part.is_empty() || part == "..")
}

/// What the keys begin with by which it is tried whether the bucket can be written.
pub const PROBE: &str = "probe";
/// What the keys begin with by which `doctor` tries what the bucket can do.
pub const DOCTOR: &str = "doctor";

/// A key for a trial, or what several begin with: [`PROBE`] or [`DOCTOR`], and an id.
pub fn trial(whose: &str, id: Uuid) -> String {
    format!("{whose}/{id}")
}

/// What the keys of a meeting's live segments begin with.
pub fn live_prefix(tenant: TenantId, meeting: MeetingId) -> String {
    format!("live/{tenant}/{meeting}/")
}

/// What the keys of a meeting's files begin with.
pub fn recordings_prefix(tenant: TenantId, meeting: MeetingId) -> String {
    format!("recordings/{tenant}/{meeting}/")
}

/// The key of a live segment. Contains the epoch, so that two holders can never write the same
/// object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveSegment {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub epoch: i64,
    pub recording: RecordingId,
    pub n: u32,
    /// The consent entry that allowed it.
    pub entry: i64,
    /// How often it was cut after it was stored.
    pub cuts: u32,
}

impl fmt::Display for LiveSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&live_prefix(self.tenant, self.meeting))?;
        write!(
            f,
            "{}/{}/{}-{}",
            self.epoch, self.recording, self.n, self.entry
        )?;
        if self.cuts > 0 {
            write!(f, "-c{}", self.cuts)?;
        }
        f.write_str(".mkv")
    }
}

impl LiveSegment {
    /// `None`: no key of a live segment.
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("live/")?.split('/');
        let mut next = || parts.next();
        let (tenant, meeting, epoch, recording) = (next()?, next()?, next()?, next()?);
        let mut name = next()?.strip_suffix(".mkv")?.split('-');
        let read = Self {
            tenant: tenant.parse().ok()?,
            meeting: meeting.parse().ok()?,
            epoch: epoch.parse().ok()?,
            recording: recording.parse().ok()?,
            n: name.next()?.parse().ok()?,
            entry: name.next()?.parse().ok()?,
            cuts: match name.next() {
                Some(cuts) => cuts.strip_prefix('c')?.parse().ok()?,
                None => 0,
            },
        };
        // Only what is written so itself: nothing behind it, no other spelling.
        (read.to_string() == key).then_some(read)
    }
}

/// The key of a block of live segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveBlock {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub epoch: i64,
    pub recording: RecordingId,
    /// Numbers of the first and the last segment that it was made of.
    pub first: u32,
    pub last: u32,
    /// The consent entry that allowed all of it.
    pub entry: i64,
    /// Makes it another than all that the same holder stored: a block is never overwritten.
    pub made: u32,
}

impl fmt::Display for LiveBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&live_prefix(self.tenant, self.meeting))?;
        write!(
            f,
            "{}/{}/b{}-{}-{}-{}.mkv",
            self.epoch, self.recording, self.first, self.last, self.entry, self.made
        )
    }
}

impl LiveBlock {
    /// `None`: no key of a block.
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("live/")?.split('/');
        let mut next = || parts.next();
        let (tenant, meeting, epoch, recording) = (next()?, next()?, next()?, next()?);
        let name = next()?.strip_prefix('b')?.strip_suffix(".mkv")?;
        let mut name = name.split('-');
        let read = Self {
            tenant: tenant.parse().ok()?,
            meeting: meeting.parse().ok()?,
            epoch: epoch.parse().ok()?,
            recording: recording.parse().ok()?,
            first: name.next()?.parse().ok()?,
            last: name.next()?.parse().ok()?,
            entry: name.next()?.parse().ok()?,
            made: name.next()?.parse().ok()?,
        };
        (read.to_string() == key).then_some(read)
    }
}

/// The key of a recording's file. The revision is in it, so that a file once told of is never
/// overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordingFile {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub recording: RecordingId,
    pub revision: i32,
    pub media: MediaType,
}

const fn extension(media: MediaType) -> &'static str {
    match media {
        MediaType::AudioMp4 | MediaType::VideoMp4 => "mp4",
        MediaType::AudioMatroska | MediaType::VideoMatroska => "mkv",
        MediaType::AudioWebm | MediaType::VideoWebm => "webm",
        MediaType::AudioWav => "wav",
    }
}

impl fmt::Display for RecordingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tenant,
            meeting,
            recording,
            revision,
            media,
        } = self;
        let extension = extension(*media);
        f.write_str(&recordings_prefix(*tenant, *meeting))?;
        write!(f, "{recording}-{revision}.{extension}")
    }
}

impl RecordingFile {
    /// Where the peaks of this file lie.
    pub const fn peaks(&self) -> PeaksFile {
        PeaksFile {
            tenant: self.tenant,
            meeting: self.meeting,
            recording: self.recording,
            revision: self.revision,
        }
    }

    pub fn kind(&self) -> RecordingKind {
        if MediaType::of_files(RecordingKind::Mix).contains(&self.media) {
            RecordingKind::Mix
        } else {
            RecordingKind::Track
        }
    }

    /// `None`: no key of a recording's file.
    pub fn parse(key: &str) -> Option<Self> {
        let (
            PeaksFile {
                tenant,
                meeting,
                recording,
                revision,
            },
            written,
        ) = file(key)?;
        let media = RecordingKind::ALL
            .into_iter()
            .flat_map(MediaType::of_files)
            .find(|media| extension(**media) == written)?;
        let read = Self {
            tenant,
            meeting,
            recording,
            revision,
            media: *media,
        };
        (read.to_string() == key).then_some(read)
    }
}

/// The key of the peaks of a recording's file ([`crate::peaks`]), of its revision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeaksFile {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub recording: RecordingId,
    pub revision: i32,
}

const PEAKS: &str = "peaks";

impl fmt::Display for PeaksFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&recordings_prefix(self.tenant, self.meeting))?;
        write!(f, "{}-{}.{PEAKS}", self.recording, self.revision)
    }
}

impl PeaksFile {
    /// Whether the file that they are of is the one with this URL, in whichever bucket.
    pub fn are_of(&self, url: &str) -> bool {
        let place = recordings_prefix(self.tenant, self.meeting);
        let begins = format!("/{place}{}-{}.", self.recording, self.revision);
        url.rsplit_once(&begins)
            .is_some_and(|(_, ending)| !ending.contains(['/', '.']))
    }

    /// `None`: no key of peaks.
    pub fn parse(key: &str) -> Option<Self> {
        let (read, written) = file(key)?;
        (written == PEAKS && read.to_string() == key).then_some(read)
    }
}

/// What the keys of a recording's files have alike, and how this one ends.
fn file(key: &str) -> Option<(PeaksFile, &str)> {
    let mut parts = key.strip_prefix("recordings/")?.split('/');
    let (tenant, meeting, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (name, written) = name.rsplit_once('.')?;
    // The id has hyphens, too.
    let (recording, revision) = name.rsplit_once('-')?;
    let read = PeaksFile {
        tenant: tenant.parse().ok()?,
        meeting: meeting.parse().ok()?,
        recording: recording.parse().ok()?,
        revision: revision.parse().ok()?,
    };
    Some((read, written))
}

/// What the keys of all ledgers begin with.
pub const LEDGERS: &str = "ledger/";

/// What the keys of a tenant's ledger begin with.
pub fn ledger_prefix(tenant: TenantId) -> String {
    format!("{LEDGERS}{tenant}/")
}

/// The key of an entry of a tenant's ledger. Their order is that of the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerKey {
    pub tenant: TenantId,
    pub n: i64,
}

impl fmt::Display for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:012}", ledger_prefix(self.tenant), self.n)
    }
}

impl LedgerKey {
    /// `None`: no key of an entry.
    pub fn parse(key: &str) -> Option<Self> {
        let (tenant, n) = key.strip_prefix(LEDGERS)?.split_once('/')?;
        let read = Self {
            tenant: tenant.parse().ok()?,
            n: n.parse().ok()?,
        };
        (read.to_string() == key).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const MEETING: MeetingId = MeetingId(Uuid::from_u128(2));
    const RECORDING: RecordingId = RecordingId(Uuid::from_u128(3));
    const PLACE: &str = "00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002";

    #[test]
    fn a_live_segments_key_reads_back() {
        let id = "00000000-0000-0000-0000-000000000003";
        for (cuts, end) in [(0, "12-7.mkv"), (3, "12-7-c3.mkv")] {
            let segment = LiveSegment {
                tenant: TENANT,
                meeting: MEETING,
                epoch: 4,
                recording: RECORDING,
                n: 12,
                entry: 7,
                cuts,
            };
            let key = segment.to_string();
            assert_eq!(key, format!("live/{PLACE}/4/{id}/{end}"));
            assert!(key.starts_with(&live_prefix(TENANT, MEETING)));
            assert_eq!(LiveSegment::parse(&key), Some(segment));
            assert_eq!(LiveSegment::parse(&format!("{key}/more")), None);
        }
        for other in [
            "12-7-c0.mkv",
            "12-7-3.mkv",
            "012-7.mkv",
            "12.mkv",
            "12-7.mp4",
        ] {
            let key = format!("live/{PLACE}/4/{id}/{other}");
            assert_eq!(LiveSegment::parse(&key), None, "{key}");
        }
    }

    #[test]
    fn a_blocks_key_reads_back() {
        let id = "00000000-0000-0000-0000-000000000003";
        let block = LiveBlock {
            tenant: TENANT,
            meeting: MEETING,
            epoch: 4,
            recording: RECORDING,
            first: 12,
            last: 86,
            entry: 7,
            made: 3,
        };
        let key = block.to_string();
        assert_eq!(key, format!("live/{PLACE}/4/{id}/b12-86-7-3.mkv"));
        assert!(key.starts_with(&live_prefix(TENANT, MEETING)));
        assert_eq!(LiveBlock::parse(&key), Some(block));
        assert_eq!(LiveSegment::parse(&key), None);
        for other in [
            "b12-86-7.mkv",
            "b12-86-07-3.mkv",
            "12-7.mkv",
            "b12-86-7-3-1.mkv",
        ] {
            let key = format!("live/{PLACE}/4/{id}/{other}");
            assert_eq!(LiveBlock::parse(&key), None, "{key}");
        }
    }

    #[test]
    fn a_files_key_reads_back() {
        let id = "00000000-0000-0000-0000-000000000003";
        for (media, end) in [
            (MediaType::AudioMp4, "mp4"),
            (MediaType::AudioWebm, "webm"),
            (MediaType::AudioWav, "wav"),
            (MediaType::AudioMatroska, "mkv"),
        ] {
            let file = RecordingFile {
                tenant: TENANT,
                meeting: MEETING,
                recording: RECORDING,
                revision: 2,
                media,
            };
            let key = file.to_string();
            assert_eq!(key, format!("recordings/{PLACE}/{id}-2.{end}"));
            assert_eq!(RecordingFile::parse(&key), Some(file));
            assert_eq!(LiveSegment::parse(&key), None);
            assert_eq!(RecordingFile::parse(&format!("x{key}")), None);
        }
        let other = format!("recordings/{PLACE}/{id}-2.ogg");
        assert_eq!(RecordingFile::parse(&other), None);
    }

    #[test]
    fn the_key_of_peaks_reads_back() {
        let file = RecordingFile {
            tenant: TENANT,
            meeting: MEETING,
            recording: RECORDING,
            revision: 2,
            media: MediaType::AudioMp4,
        };
        let key = file.peaks().to_string();
        let id = "00000000-0000-0000-0000-000000000003";
        assert_eq!(key, format!("recordings/{PLACE}/{id}-2.peaks"));
        assert_eq!(PeaksFile::parse(&key), Some(file.peaks()));
        assert_eq!(RecordingFile::parse(&key), None);
        assert!(file.peaks().are_of(&format!("s3://some/{file}")));
        for other in [
            RecordingFile {
                revision: 12,
                ..file
            },
            RecordingFile {
                recording: RecordingId(Uuid::nil()),
                ..file
            },
        ] {
            assert!(!file.peaks().are_of(&format!("s3://some/{other}")));
        }
        for other in [&file.to_string(), &format!("{key}/x"), &format!("x{key}")] {
            assert_eq!(PeaksFile::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_entrys_key_reads_back_and_keys_are_in_the_order_of_numbers() {
        let key = |n| LedgerKey { tenant: TENANT, n };
        let first = "ledger/00000000-0000-0000-0000-000000000001/000000000001";
        assert_eq!(key(1).to_string(), first);
        assert_eq!(LedgerKey::parse(first), Some(key(1)));
        assert!(key(9).to_string() < key(10).to_string());
        assert!(key(99_999).to_string() < key(100_000).to_string());
        for other in [
            &first[..first.len() - 1],
            &first[7..],
            &format!("{first}/1"),
        ] {
            assert_eq!(LedgerKey::parse(other), None, "{other}");
        }
    }
}
