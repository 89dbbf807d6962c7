//! What is said of a stream: what it carries, from where, how it is secured, and what becomes of
//! it.

use crate::word::words;

words! {
    /// What a stream carries.
    pub enum MediaKind("kind of media", schema "MediaKind") {
        Audio = "audio",
        Video = "video",
    }
}

words! {
    /// What of the participant a stream shows or lets hear.
    pub enum MediaSource("source of media", schema "MediaSource") {
        Microphone = "microphone",
        Camera = "camera",
        Screen = "screen",
    }
}

impl MediaSource {
    /// Where media of this kind comes from when nothing else is said.
    pub const fn usual(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Microphone,
            MediaKind::Video => Self::Camera,
        }
    }
}

words! {
    /// How a stream's media comes.
    pub enum Transport(
        "transport of a stream",
        schema "StreamTransport": "`rtp` to a port of the stream's own, `webrtc` from its participant's peer connection."
    ) {
        Rtp = "rtp",
        WebRtc = "webrtc",
    }
}

words! {
    /// An SRTP suite by its name in RFC 4568 or RFC 7714.
    pub enum SrtpSuite(
        "SRTP suite",
        schema "SrtpSuite": "An SRTP suite by its name in RFC 4568 or RFC 7714."
    ) {
        AesCm128HmacSha1_80 = "AES_CM_128_HMAC_SHA1_80",
        AeadAes128Gcm = "AEAD_AES_128_GCM",
        AeadAes256Gcm = "AEAD_AES_256_GCM",
    }
}

impl SrtpSuite {
    /// Length of master key and master salt together, in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => 16 + 14,
            Self::AeadAes128Gcm => 16 + 12,
            Self::AeadAes256Gcm => 32 + 12,
        }
    }
}

words! {
    /// What has become of a stream.
    pub enum StreamState("state of a stream", schema "StreamState") {
        /// A client asked for it; no worker has opened it yet.
        Asked = "asked",
        Open = "open",
        Closed = "closed",
    }
}

words! {
    /// Whether the media of an open stream comes.
    pub enum StreamMedia(
        "state of a stream's media",
        schema "StreamMedia": "Whether media comes: `waiting` nothing came yet, `stalled` nothing was taken for 10 s."
    ) {
        Waiting = "waiting",
        Receiving = "receiving",
        Stalled = "stalled",
    }
}

words! {
    /// Why nothing is taken of a stream that is open.
    pub enum MediaReason(
        "reason for a stall",
        schema "StreamMediaReason": "Why nothing is taken of a stream that is open."
    ) {
        /// Nothing comes.
        Silent = "silent",
        /// It comes from an address that is not the stream's.
        OtherSource = "other_source",
        /// It comes with an SSRC that was not announced.
        OtherSsrc = "other_ssrc",
        /// SRTP: it does not prove itself.
        Unauthentic = "unauthentic",
        /// SRTP: it came before; a sender that began anew with the same key and SSRC.
        Replayed = "replayed",
        /// A payload type that was not announced.
        PayloadType = "payload_type",
        /// Packets or payloads that are not what was announced.
        Malformed = "malformed",
        /// Its counter runs at another rate than was announced.
        ClockRate = "clock_rate",
    }
}

words! {
    /// Why a stream was closed.
    pub enum CloseReason("reason for a stream's end", schema "StreamCloseReason") {
        /// Somebody asked for it.
        Request = "request",
        /// Another stream of the same participant, kind and source took its place.
        Replaced = "replaced",
        /// Its participant left.
        Left = "left",
        /// Its participant was removed.
        Removed = "removed",
        /// Its sender said goodbye.
        Bye = "bye",
        /// Nothing came for long, and its participant had no socket.
        Idle = "idle",
        /// Its time stamps fit no clock.
        ClockRate = "clock_rate",
        /// No worker takes this codec.
        NotSupported = "not_supported",
        /// The worker could not open it.
        Unavailable = "unavailable",
        /// No worker opened it in time.
        Failed = "failed",
        /// The process that had its keys is gone; its sender is asked for a new one.
        Moved = "moved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_is_heard_and_a_camera_seen() {
        assert_eq!(
            MediaSource::usual(MediaKind::Audio),
            MediaSource::Microphone
        );
        assert_eq!(MediaSource::usual(MediaKind::Video), MediaSource::Camera);
    }
}
