//! Media types (RFC 6838) of the files that are stored.

use crate::{codec::AudioCodec, recording::RecordingKind, word::words};

words! {
    /// The media type of a recording's file or of a live segment.
    pub enum MediaType("media type of a recording") {
        AudioMp4 = "audio/mp4",
        VideoMp4 = "video/mp4",
        AudioMatroska = "audio/x-matroska",
        VideoMatroska = "video/x-matroska",
        AudioWebm = "audio/webm",
        VideoWebm = "video/webm",
        AudioWav = "audio/wav",
    }
}

impl MediaType {
    /// What the file of a track is: what plays everywhere and needs no encoding.
    pub const fn of_track(codec: AudioCodec) -> Self {
        match codec {
            AudioCodec::Opus => Self::AudioWebm,
            AudioCodec::Pcmu | AudioCodec::Pcma => Self::AudioWav,
        }
    }

    /// What a recording's file is or was: those of earlier versions come last.
    pub const fn of_files(kind: RecordingKind) -> &'static [Self] {
        match kind {
            RecordingKind::Mix => &[Self::AudioMp4],
            RecordingKind::Track => &[Self::AudioWebm, Self::AudioWav, Self::AudioMatroska],
        }
    }

    /// How the name of such a file ends when somebody downloads it.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::AudioMp4 => "m4a",
            Self::VideoMp4 => "mp4",
            Self::AudioMatroska => "mka",
            Self::VideoMatroska => "mkv",
            Self::AudioWebm | Self::VideoWebm => "webm",
            Self::AudioWav => "wav",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_named_by_what_it_is() {
        let named = |text: &str| text.parse().map(MediaType::extension);
        assert_eq!(named("audio/mp4"), Ok("m4a"));
        assert_eq!(named("audio/x-matroska"), Ok("mka"));
        assert_eq!(named("audio/wav"), Ok("wav"));
        assert!(named("audio/flac").is_err());
    }

    #[test]
    fn a_track_is_what_its_kind_may_be() {
        for codec in AudioCodec::ALL {
            let of_track = MediaType::of_track(codec);
            assert!(MediaType::of_files(RecordingKind::Track).contains(&of_track));
        }
    }
}
