//! Sound of a stored track through speech, the same way as live sound and after all of it: a
//! portion at a time, so that what was found is kept when the process ends.

use crate::{
    domain::{
        gate::{Gate, Transcription},
        id::StreamId,
        recording::CONCEAL_MAX,
        settings::MeetingSettings,
        time::{MeetingTime, Micros, Span},
        transcript::RetractionReason,
        unheard::ends_portion,
    },
    media::{containers::track::Reader, decode::Decoder, frame::Pcm},
    speech::{Caption, Line, Speech, StreamOptions, Translation},
    store::{new_id, recording::TrackKey},
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};
use tracing::debug;

/// What speech wants.
const RATE: u32 = 16_000;
/// Sound is given in pieces of this length: hardly a message a second.
const PIECE: Micros = Micros::from_ms(500);
/// From piece to piece, so that whoever speaks now is not kept waiting by the past.
const PACE: Duration = Duration::from_millis(2);
/// Decoded pieces that wait for speech.
const PIECES_MAX: usize = 8;

/// A stored track as it lies here.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub path: PathBuf,
    /// The file's time 0.
    pub zero: MeetingTime,
}

/// What came of listening to a portion.
#[derive(Default)]
pub(super) struct Transcribed {
    pub lines: Vec<Line>,
    /// Of the lines.
    pub translations: Vec<Translation>,
    /// Heard and not understood.
    pub undecoded: Vec<Span>,
    /// How much there was to hear.
    pub length: Micros,
}

impl Transcribed {
    fn take(&mut self, caption: Caption) {
        match caption {
            Caption::Final(line) => self.lines.push(line),
            Caption::Translated(translation) => self.translations.push(translation),
            Caption::Retracted(retraction) if retraction.reason == RetractionReason::Lost => {
                self.undecoded.push(retraction.span)
            }
            Caption::Partial(_) | Caption::Retracted(_) => {}
        }
    }
}

/// What a track sounds like in these spans, which are sorted and apart, as it is read.
pub(super) struct Sound {
    pieces: mpsc::Receiver<Pcm>,
    reading: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Sound {
    pub fn of(file: File, wanted: Vec<Span>) -> Self {
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        let reading = tokio::task::spawn_blocking(move || read(&file, &wanted, &to));
        Self { pieces, reading }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Pcm>> {
        let next = self.pieces.recv().await;
        if next.is_none() {
            (&mut self.reading).await??;
        }
        Ok(next)
    }

    /// Gives the next portion to speech and takes what it says of it; `None` at the end.
    pub async fn hear(
        &mut self,
        speech: &Speech,
        settings: &MeetingSettings,
        gate: &Arc<Gate>,
        key: &TrackKey,
    ) -> anyhow::Result<Option<Transcribed>> {
        let participant = key.participant;
        let Some(mut next) = self.next().await? else {
            return Ok(None);
        };
        let mut heard = Transcribed::default();
        let (room, mut captions) = speech.meeting(gate.clone());
        let stream = room.open(StreamOptions {
            participant,
            stream: StreamId(new_id()),
            source: key.source,
            language: settings.language.clone(),
            languages: settings.languages.clone(),
            glossary: settings.glossary.clone(),
            translate: settings.translate_to.is_some(),
            late: true,
        });
        loop {
            let Pcm { samples, span } = next;
            while !speech.has_room() {
                sleep(PACE).await;
            }
            let loudness = rms(&samples);
            heard.length = Micros(heard.length.0 + span.length().0);
            // What may not be transcribed is not even given to it.
            if let Ok(sound) =
                gate.admit::<Transcription, _>(participant, span.start, span, samples)
                && !stream.push(sound, span.start)
            {
                heard.undecoded.push(span);
            }
            while let Ok(caption) = captions.try_recv() {
                heard.take(caption);
            }
            if ends_portion(heard.length, loudness) {
                break;
            }
            sleep(PACE).await;
            match self.pieces.recv().await {
                Some(piece) => next = piece,
                None => break,
            }
        }
        stream.close();
        let finish = room.finish(None);
        tokio::pin!(finish);
        loop {
            tokio::select! {
                () = &mut finish => break,
                Some(caption) = captions.recv() => heard.take(caption),
            }
        }
        while let Ok(caption) = captions.try_recv() {
            heard.take(caption);
        }
        Ok(Some(heard))
    }
}

fn rms(samples: &[f32]) -> f32 {
    let power: f32 = samples.iter().map(|sample| sample * sample).sum();
    (power / samples.len().max(1) as f32).sqrt()
}

/// Decodes what is wanted of a file, until nobody takes it any more.
fn read(file: &File, wanted: &[Span], to: &mpsc::Sender<Pcm>) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let Some(mut reader) = Reader::open(&file.path, file.zero)? else {
        return Ok(());
    };
    let mut decoder = Decoder::new(reader.codec(), RATE)?;
    let (mut last, mut left): (Option<Pcm>, bool) = (None, false);
    let mut join = |pcm: Pcm| match &mut last {
        Some(last)
            if (pcm.span.start - last.span.end).0.abs() < 1_000 && last.span.length() < PIECE =>
        {
            last.span.end = pcm.span.end;
            last.samples.extend(pcm.samples);
        }
        last => {
            left |= last
                .replace(pcm)
                .is_some_and(|pcm| to.blocking_send(pcm).is_err())
        }
    };
    while let Some(frame) = reader.read()? {
        if to.is_closed() {
            return Ok(());
        }
        let next = wanted.partition_point(|span| span.end < frame.span.end);
        if wanted
            .get(next)
            .is_none_or(|span| span.start > frame.span.start)
        {
            continue;
        }
        if let Some(end) = decoder.end() {
            let hole = Span::new(end, frame.span.start);
            if !hole.is_empty() && hole.length() <= CONCEAL_MAX {
                decoder.lost(hole, &mut join)?;
            }
        }
        if let Err(error) = decoder.push(&frame, &mut join) {
            // One packet that no decoder takes is no reason to give the others up.
            debug!(error = format!("{error:#}"), "a packet cannot be decoded");
        }
    }
    decoder.flush(&mut join)?;
    if let (Some(pcm), false) = (last, left) {
        let _ = to.blocking_send(pcm);
    }
    Ok(())
}
