//! Opens a track: what its row says of the stream, as its source and the buffers need it.

use super::{ALIVE_EVERY, Track, Tracks};
use crate::{
    capture::{media_watch::MediaWatch, port::Found},
    domain::{codec::AudioCodec, jitter_buffer::JitterBuffer, source::Terms, time::MeetingTime},
    ingest::{self, PlainConfig, Source, SrtpConfig, StreamConfig},
    speech,
    store::{recording::TrackKey, requested_stream::seal_place, stream::Stream},
};
use anyhow::bail;
use std::collections::BTreeMap;

impl Tracks {
    /// Begins to receive from a source.
    pub fn open(
        &mut self,
        row: &Stream,
        codec: AudioCodec,
        found: Found,
        speech: speech::Stream,
        now: MeetingTime,
    ) -> anyhow::Result<u16> {
        let rtp = &self.deps.rtp;
        let srtp = match (row.srtp_suite, &row.srtp_sealed) {
            (Some(suite), Some(sealed)) => {
                let key = self
                    .deps
                    .seal
                    .open(&seal_place(self.holder.meeting, row.id), sealed)?;
                Some(SrtpConfig {
                    suite,
                    key,
                    index: (row.rollover > 0).then_some(row.rollover),
                })
            }
            (None, _) => None,
            (Some(_), None) => bail!("the stream's SRTP key is gone"),
        };
        let secured = srtp.is_some();
        let address = |text: &Option<String>| text.as_ref().map(|text| text.parse()).transpose();
        let config = StreamConfig {
            stream: row.id,
            payload_type: row.payload_type,
            red_payload_type: row.red_payload_type,
            codec,
            clock_rate: row.clock_rate,
            report_every: ingest::REPORT_EVERY,
        };
        let plain = PlainConfig {
            terms: Terms {
                ssrc: row.ssrc,
                remote: address(&row.remote)?,
                secured,
                relatch: row.relatch,
                foreign: found.foreign,
            },
            allow: rtp.allow.clone(),
            latched: address(&row.latched)?,
            ssrc: row.heard_ssrc,
            srtp,
        };
        let port = found.place.port;
        let source = Source::Plain(found.place, plain);
        let ingest = ingest::open(config, source, self.to_loop.clone())?;
        let (sink, coming) = self.to_speech.sink(speech);
        self.decode_thread
            .open(row.id, row.participant, codec, sink);
        let key = TrackKey {
            participant: row.participant,
            source: row.source,
            codec,
        };
        let track = Track {
            participant: row.participant,
            codec,
            key,
            ingest,
            port,
            watch: MediaWatch::new(row.media, now),
            dropped: BTreeMap::new(),
            buffer: JitterBuffer::new(row.clock_rate),
            coming,
            voiced: None,
            cname: None,
            alive: now - ALIVE_EVERY,
            indexed: now,
            srtp: secured,
        };
        self.tracks.insert(row.id, track);
        Ok(port)
    }
}
