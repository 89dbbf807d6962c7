//! PCM on its way from the decoder's thread to speech, past the meeting's loop, which so stays free
//! for withdrawals.
//!
//! Speech's inbox is the bounded channel. While it has no room the decoder's thread waits here, and
//! what comes waits before it as frames. PCM was admitted when it came out of the decoder; what had
//! to wait is asked for again. A withdrawal goes through the same inbox
//! ([`speech::Meeting::withdrawn`]), and speech asks the gate at each of its own exits, so that PCM
//! is cut whether it came before the withdrawal or behind it.

use crate::{
    capture::unheard::Overflow,
    domain::gate::{Admitted, Gate, Transcription, Verdict},
    media::{frame::Pcm, live::decode_thread::PcmSink},
    speech,
};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often it is asked whether speech takes sound again.
const ROOM_POLL: Duration = Duration::from_millis(20);

/// What the sinks of a meeting share.
pub struct ToSpeech {
    gate: Arc<Gate>,
    overflow: Overflow,
    over: CancellationToken,
}

/// Dropped, nothing waits for room any more.
pub struct WaitGuard {
    _guard: DropGuard,
}

/// Whether PCM of a stream may still come.
pub struct SinkWatch(Weak<()>);

impl SinkWatch {
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl ToSpeech {
    pub fn new(gate: Arc<Gate>, overflow: Overflow) -> (Self, WaitGuard) {
        let over = CancellationToken::new();
        let guard = WaitGuard {
            _guard: over.clone().drop_guard(),
        };
        let to_speech = Self {
            gate,
            overflow,
            over,
        };
        (to_speech, guard)
    }

    /// The way of one stream. Speech finalises what is open when the sink is dropped.
    pub fn sink(&self, stream: speech::Stream) -> (PcmSink, SinkWatch) {
        let alive = Arc::new(());
        let coming = SinkWatch(Arc::downgrade(&alive));
        let (gate, overflow, over) = (self.gate.clone(), self.overflow.clone(), self.over.clone());
        let sink = move |pcm| {
            // Owned by the sink: it lives as long.
            let _ = &alive;
            deliver(&stream, pcm, &gate, &overflow, &over);
        };
        (Box::new(sink), coming)
    }
}

fn deliver(
    stream: &speech::Stream,
    pcm: Admitted<Transcription, Pcm>,
    gate: &Gate,
    overflow: &Overflow,
    over: &CancellationToken,
) {
    let (span, pass) = (pcm.value().span, pcm.pass());
    if !stream.has_room() {
        while !stream.has_room() && !over.is_cancelled() {
            std::thread::sleep(ROOM_POLL);
        }
        if gate.still::<Transcription>(&pass) != Verdict::Keep {
            return;
        }
    }
    if !stream.push(pcm.map(|pcm| pcm.samples), span.start) {
        overflow.lost(pass.participant, span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        consent::{ConsentStatus, Use},
        gate::Entry,
        id::{ConsentId, ParticipantId},
        time::{MeetingTime, Span},
    };
    use std::time::Instant;
    use uuid::Uuid;

    const WHO: ParticipantId = ParticipantId(Uuid::from_u128(1));

    fn agreed() -> Arc<Gate> {
        let gate = Gate::new(&Use::ALL);
        gate.apply(
            &Entry {
                entry: 1,
                id: ConsentId(Uuid::from_u128(1)),
                participant: WHO,
                uses: Use::ALL.to_vec(),
                status: ConsentStatus::Accepted,
                at: MeetingTime::ZERO,
            },
            MeetingTime::ZERO,
        );
        Arc::new(gate)
    }

    fn pcm(gate: &Gate, from_ms: i64) -> Admitted<Transcription, Pcm> {
        let span = Span::new(
            MeetingTime::from_ms(from_ms),
            MeetingTime::from_ms(from_ms + 20),
        );
        let samples = vec![0.0; 320];
        gate.admit(WHO, span.end, span, Pcm { samples, span })
            .unwrap_or_else(|_| panic!("agreed"))
    }

    fn until(what: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn pcm_waits_for_room_and_a_withdrawal_meanwhile_cuts_it() {
        for withdrawn in [false, true] {
            let gate = agreed();
            let overflow = Overflow::default();
            let (to_speech, _over) = ToSpeech::new(gate.clone(), overflow.clone());
            let (stream, mut inbox) = speech::Stream::with_room(1);
            let (mut sink, coming) = to_speech.sink(stream);
            sink(pcm(&gate, 100));
            let second = pcm(&gate, 120);
            let thread = std::thread::spawn(move || sink(second));
            // It waits: it is neither lost nor through.
            std::thread::sleep(ROOM_POLL * 2);
            assert!(!thread.is_finished());
            if withdrawn {
                gate.withdraw(
                    ConsentId(Uuid::from_u128(2)),
                    WHO,
                    &Use::ALL,
                    MeetingTime::from_ms(110),
                );
            }
            assert!(inbox.try_recv().is_ok(), "the first");
            until("the thread goes on", || thread.is_finished());
            assert!(coming.is_over(), "the sink is gone with its thread");
            // Behind it the stream is closed.
            let mut left = 0;
            while inbox.try_recv().is_ok() {
                left += 1;
            }
            assert_eq!(left, if withdrawn { 1 } else { 2 });
            assert!(overflow.take().is_empty());
        }
    }

    #[test]
    fn at_the_end_nothing_waits_and_what_found_no_room_is_noted() {
        let gate = agreed();
        let overflow = Overflow::default();
        let (to_speech, over) = ToSpeech::new(gate.clone(), overflow.clone());
        let (stream, _inbox) = speech::Stream::with_room(0);
        let (mut sink, _) = to_speech.sink(stream);
        let sound = pcm(&gate, 100);
        let thread = std::thread::spawn(move || sink(sound));
        drop(over);
        until("the thread goes on", || thread.is_finished());
        assert_eq!(overflow.take().len(), 1);
    }
}
