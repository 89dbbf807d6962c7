//! Opens a track: what its row says of the stream, as its source and the buffers need it.

use super::{ALIVE_EVERY, Picture, Track, Tracks};
use crate::{
    capture::{media_watch::MediaWatch, port::Found},
    domain::{
        codec::AudioCodec,
        connectivity::{Connectivity, Signs},
        jitter_buffer::JitterBuffer,
        own_sections::Shown,
        source::Terms,
        time::MeetingTime,
    },
    ingest::{self, Peer, PlainConfig, Publication, Source, SrtpConfig, StreamConfig},
    speech,
    store::{recording::TrackKey, requested_stream::seal_place, stream::Stream},
};
use anyhow::bail;
use std::collections::BTreeMap;

impl Tracks {
    /// Begins to receive on a port of the stream's own.
    pub fn open(
        &mut self,
        row: &Stream,
        codec: AudioCodec,
        found: Found,
        speech: speech::Stream,
        now: MeetingTime,
    ) -> anyhow::Result<u16> {
        let port = found.place.port;
        let source = self.plain(row, found)?;
        self.receive(row, codec, source, Some(port), speech, now)?;
        Ok(port)
    }

    /// Begins to receive a section of a peer connection.
    pub fn open_peer(
        &mut self,
        row: &Stream,
        codec: AudioCodec,
        peer: &Peer,
        mid: &str,
        speech: speech::Stream,
        now: MeetingTime,
    ) -> anyhow::Result<()> {
        let source = Source::Peer(peer.clone(), mid.to_owned());
        self.receive(row, codec, source, None, speech, now)
    }

    /// Begins to receive pictures, for the others alone: they are not recorded.
    pub fn open_picture(
        &mut self,
        row: &Stream,
        peer: &Peer,
        mid: &str,
        now: MeetingTime,
    ) -> anyhow::Result<()> {
        let (config, live) = self.config(row);
        let source = Source::Peer(peer.clone(), mid.to_owned());
        let ingest = ingest::open(config, source, self.to_loop.clone())?;
        let picture = Picture {
            participant: row.participant,
            source: row.source,
            ingest,
            _live: live,
            watch: MediaWatch::new(row.media, now),
        };
        self.pictures.insert(row.id, picture);
        Ok(())
    }

    fn plain(&self, row: &Stream, found: Found) -> anyhow::Result<Source> {
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
        let address = |text: &Option<String>| text.as_ref().map(|text| text.parse()).transpose();
        let plain = PlainConfig {
            terms: Terms {
                ssrc: row.ssrc,
                remote: address(&row.remote)?,
                secured: srtp.is_some(),
                relatch: row.relatch,
                foreign: found.foreign,
            },
            allow: rtp.allow.clone(),
            latched: address(&row.latched)?,
            ssrc: row.heard_ssrc,
            srtp,
        };
        Ok(Source::Plain(found.place, plain))
    }

    /// What is known of a stream, and its place in the room.
    fn config(&self, row: &Stream) -> (StreamConfig, Publication) {
        let shown = Shown {
            kind: row.kind,
            participant: row.participant,
            source: row.source,
        };
        let live = self.room.publish(shown, row.id, row.codec);
        let config = StreamConfig {
            stream: row.id,
            payload_type: row.payload_type,
            red_payload_type: row.red_payload_type,
            codec: row.codec,
            clock_rate: row.clock_rate,
            report_every: ingest::REPORT_EVERY,
            live: Some(live.publisher()),
        };
        (config, live)
    }

    fn receive(
        &mut self,
        row: &Stream,
        codec: AudioCodec,
        source: Source,
        port: Option<u16>,
        speech: speech::Stream,
        now: MeetingTime,
    ) -> anyhow::Result<()> {
        let (config, live) = self.config(row);
        let signs = match &source {
            Source::Plain(..) => Signs::Reports,
            Source::Peer(..) => Signs::Checks,
        };
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
            _live: live,
            port,
            watch: MediaWatch::new(row.media, now),
            dropped: BTreeMap::new(),
            buffer: JitterBuffer::new(row.clock_rate),
            coming,
            voiced: None,
            cname: None,
            alive: now - ALIVE_EVERY,
            indexed: now,
            srtp: row.srtp_suite.is_some(),
        };
        self.tracks.insert(row.id, track);
        let connectivity = self.connectivity.entry(key);
        connectivity
            .or_insert_with(|| Connectivity::new(signs))
            .opened(signs);
        Ok(())
    }
}
