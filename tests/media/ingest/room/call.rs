//! A room, and somebody who hears and is heard in it.

use super::*;

/// A room and the port of its browsers.
pub struct Place {
    pub endpoint: Endpoint,
    pub gate: Arc<Gate>,
    pub room: Room,
}

impl Place {
    pub fn of(present: &[u128]) -> Self {
        let gate = Arc::new(Gate::new(&[]));
        gate.set_live(present.iter().map(|n| who(*n)).collect());
        Self {
            endpoint: Endpoint::bind(LOOPBACK, 0, &[LOOPBACK]).expect("a free port"),
            room: Room::new(gate.clone()),
            gate,
        }
    }
}

/// Somebody in it.
pub struct Call {
    pub browser: Browser,
    pub peer: Peer,
    pub notices: mpsc::Receiver<(ParticipantId, Notice)>,
    /// What it was told last of the pictures that do not fit, and how often.
    pub paused: (Vec<Shown>, u32),
    answered: BTreeSet<String>,
    _stream: Stream,
    pub live: Option<Publication>,
    /// What the meeting's loop would take.
    pub arrivals: mpsc::Receiver<(StreamId, Arrival)>,
}

impl Call {
    /// `loop_room`: how many arrivals may wait for the meeting's loop.
    pub async fn join(place: &Place, n: u128, loop_room: usize) -> Self {
        Self::join_by(place, n, loop_room, str::to_owned).await
    }

    /// `way`: makes of the answer one that leads over another way.
    pub async fn join_by(
        place: &Place,
        n: u128,
        loop_room: usize,
        way: impl FnOnce(&str) -> String,
    ) -> Self {
        let mut browser = Browser::bind(LOOPBACK).await.expect("a port");
        let offer = browser.offer().expect("an offer");
        let sections = negotiation::read(&offer).expect("sound").sections;
        let (to, notices) = mpsc::channel(64);
        let peer = place.endpoint.peer(Some(Hears {
            room: place.room.clone(),
            participant: who(n),
            notices: to,
        }));
        let answer = peer
            .offer(without_candidates(&offer))
            .await
            .expect("answered");
        let stream = StreamId(Uuid::now_v7());
        let codec = Codec::Audio(AudioCodec::Opus);
        let live = place.room.publish(microphone(who(n)), stream, codec);
        let config = StreamConfig {
            stream,
            payload_type: answer.codecs[&sections[0].mid].1,
            live: Some(live.publisher()),
            ..config()
        };
        let (to, arrivals) = mpsc::channel(loop_room);
        let source = Source::Peer(peer.clone(), sections[0].mid.clone());
        let stream = open(config, source, to).expect("it opens");
        browser.accept(&way(&answer.sdp)).expect("an answer");
        browser.connect(SOON).await.expect("connects");
        Self {
            browser,
            peer,
            notices,
            paused: (Vec::new(), 0),
            answered: BTreeSet::new(),
            _stream: stream,
            live: Some(live),
            arrivals,
        }
    }

    /// The next offer of the server's that is not answered yet.
    pub async fn offered(&mut self) -> OwnOffer {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(offer) = self.open_offer() {
                return offer;
            }
            assert!(Instant::now() < deadline, "no offer");
            self.turn().await;
        }
    }

    /// Reads what it was told, until that is an offer that is not answered yet.
    pub fn open_offer(&mut self) -> Option<OwnOffer> {
        while let Ok((_, notice)) = self.notices.try_recv() {
            match notice {
                Notice::Offer(offer) if !self.answered.contains(&offer.id) => return Some(offer),
                Notice::Offer(_) => {}
                Notice::Paused(paused) => self.paused = (paused, self.paused.1 + 1),
            }
        }
        None
    }

    pub async fn answer(&mut self, offer: &OwnOffer) {
        self.answered.insert(offer.id.clone());
        let answer = self.browser.answer(&offer.sdp).expect("an offer");
        self.peer
            .answer(offer.id.clone(), answer)
            .await
            .expect("it is taken");
    }

    /// Answers offers until it hears these and nobody else.
    pub async fn hears(&mut self, wanted: &[u128]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|n| who(*n).to_string()).collect();
        let hears = |browser: &Browser| -> BTreeSet<String> {
            browser.hears().into_iter().map(|(who, _)| who).collect()
        };
        while hears(&self.browser) != wanted {
            let offer = self.offered().await;
            self.answer(&offer).await;
        }
    }

    pub async fn turn(&mut self) {
        let turn = Instant::now() + Duration::from_millis(10);
        self.browser.run(turn).await.expect("connected");
    }

    pub async fn speak(&mut self, frames: &[Frame]) {
        self.browser
            .speak(frames, Instant::now(), &CancellationToken::new())
            .await
            .expect("connected");
    }

    /// What came of a participant, once it is so much.
    pub async fn received(&mut self, of: u128, at_least: usize) -> Vec<Received> {
        let of = who(of).to_string();
        let deadline = Instant::now() + SOON;
        loop {
            let all = self.browser.received.iter();
            let received: Vec<Received> =
                all.filter(|got| got.participant == of).cloned().collect();
            if received.len() >= at_least {
                return received;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {at_least}",
                received.len()
            );
            self.turn().await;
        }
    }

    /// Sends a camera, too.
    pub async fn show_camera(
        &mut self,
        place: &Place,
        n: u128,
    ) -> (Stream, Publication, mpsc::Receiver<(StreamId, Arrival)>) {
        let offer = self.browser.offer_camera().expect("an offer");
        let answer = self.peer.offer(without_candidates(&offer)).await;
        let answer = answer.expect("answered");
        self.browser.accept(&answer.sdp).expect("an answer");
        let sections = negotiation::read(&offer).expect("sound").sections;
        let section = sections.last().expect("the camera's");
        let (codec, payload_type) = answer.codecs[&section.mid];
        assert_eq!(codec, Codec::Video(VideoCodec::Vp8));
        let shown = Shown {
            kind: MediaKind::Video,
            participant: who(n),
            source: MediaSource::Camera,
        };
        let stream = StreamId(Uuid::now_v7());
        let live = place.room.publish(shown, stream, codec);
        let config = StreamConfig {
            stream,
            payload_type,
            codec,
            clock_rate: codec.clock_rate(),
            live: Some(live.publisher()),
            ..config()
        };
        let (to, arrivals) = mpsc::channel(4_096);
        let source = Source::Peer(self.peer.clone(), section.mid.clone());
        let stream = open(config, source, to).expect("it opens");
        (stream, live, arrivals)
    }

    /// Shows so many pictures of three packets each, one every 20 ms.
    pub async fn show(&mut self, pictures: u8) {
        for n in 0..pictures {
            for part in 0..3 {
                let ticks = if part == 0 { 1_800 } else { 0 };
                let payload = [&[0x10, n, part][..], &[n; 900]].concat();
                self.browser
                    .show(&payload, ticks, part == 2)
                    .expect("a camera");
            }
            let turn = Instant::now() + Duration::from_millis(20);
            self.browser.run(turn).await.expect("connected");
        }
    }
}
