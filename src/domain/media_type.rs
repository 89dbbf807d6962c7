//! Media types (RFC 6838) of the files that are stored.

use crate::word::words;

words! {
    /// The media type of a recording's file or of a live segment.
    pub enum MediaType("media type of a recording") {
        AudioMp4 = "audio/mp4",
        VideoMp4 = "video/mp4",
        AudioMatroska = "audio/x-matroska",
        VideoMatroska = "video/x-matroska",
        AudioWebm = "audio/webm",
        VideoWebm = "video/webm",
    }
}

impl MediaType {
    /// How the name of such a file ends when somebody downloads it.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::AudioMp4 => "m4a",
            Self::VideoMp4 => "mp4",
            Self::AudioMatroska => "mka",
            Self::VideoMatroska => "mkv",
            Self::AudioWebm | Self::VideoWebm => "webm",
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
        assert!(named("audio/wav").is_err());
    }
}
