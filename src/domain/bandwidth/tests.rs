//! The rule by examples, and behind a link whose width is set.

use super::*;
use uuid::Uuid;

fn shown(kind: MediaKind, n: u128, source: MediaSource) -> Shown {
    Shown {
        kind,
        participant: ParticipantId(Uuid::from_u128(n)),
        source,
    }
}

fn camera(n: u128) -> Shown {
    shown(MediaKind::Video, n, MediaSource::Camera)
}

fn screen(n: u128) -> Shown {
    shown(MediaKind::Video, n, MediaSource::Screen)
}

fn voice(n: u128) -> Shown {
    shown(MediaKind::Audio, n, MediaSource::Microphone)
}

/// A listener to whom voices of 40 kbit/s and pictures of set rates come.
struct Scene {
    sharing: Sharing,
    now: Micros,
    pictures: Vec<(Shown, Bitrate)>,
    speaks: Option<u128>,
    changes: Vec<(Micros, Change)>,
}

const STEP: Micros = Micros::from_ms(100);

impl Scene {
    fn new(pictures: &[(Shown, Bitrate)]) -> Self {
        Self {
            sharing: Sharing::default(),
            now: Micros(0),
            pictures: pictures.to_vec(),
            speaks: None,
            changes: Vec::new(),
        }
    }

    /// One step of media, after which the rule has its turn.
    fn step(&mut self) {
        let sharing = &mut self.sharing;
        for (shown, rate) in &self.pictures {
            let payload = (rate / 80) as usize - OVERHEAD_BYTES as usize;
            sharing.packet(shown, payload, false, self.now);
            let speaks = self.speaks.map(voice);
            let voice = voice(shown.participant.0.as_u128());
            for _ in 0..5 {
                sharing.packet(&voice, 40, speaks == Some(voice), self.now);
            }
        }
        let changes = sharing.turn(self.now);
        self.changes
            .extend(changes.into_iter().map(|change| (self.now, change)));
        self.now = Micros(self.now.0 + STEP.0);
    }

    fn run(&mut self, seconds: i64, estimate: Option<Bitrate>) {
        self.sharing.estimated(estimate);
        for _ in 0..seconds * 10 {
            self.step();
        }
    }

    /// What goes through the network now.
    fn sent(&self) -> Bitrate {
        let sent = self.pictures.iter();
        let sent = sent.filter(|(shown, _)| self.sharing.is_sent(shown));
        sent.map(|(_, rate)| rate).sum::<Bitrate>() + 40_000 * self.pictures.len() as Bitrate
    }
}

#[test]
fn what_nobody_knows_the_width_of_gets_everything() {
    let mut scene = Scene::new(&[(camera(1), 2_000_000), (screen(1), 3_000_000)]);
    scene.run(10, None);
    assert_eq!(scene.changes, []);
    scene.run(10, Some(100_000));
    assert_eq!(scene.sharing.paused().len(), 2);
    scene.run(1, None);
    assert_eq!(scene.sharing.paused(), []);
}

#[test]
fn a_picture_that_does_not_fit_is_paused_and_comes_back_when_it_does() {
    let mut scene = Scene::new(&[(camera(1), 500_000)]);
    scene.run(10, Some(2_000_000));
    assert!(scene.sharing.is_sent(&camera(1)));
    scene.run(3, Some(200_000));
    assert_eq!(scene.sharing.paused(), [camera(1)]);
    // Just enough is not enough to begin with.
    scene.run(30, Some(560_000));
    assert_eq!(scene.sharing.paused(), [camera(1)]);
    scene.run(5, Some(800_000));
    assert_eq!(scene.sharing.paused(), []);
    let kinds: Vec<Change> = scene.changes.iter().map(|(_, change)| *change).collect();
    assert_eq!(kinds, [Change::Pause(camera(1)), Change::Resume(camera(1))]);
}

#[test]
fn a_dip_of_the_estimate_pauses_nothing() {
    let mut scene = Scene::new(&[(camera(1), 500_000)]);
    scene.run(5, Some(2_000_000));
    scene.sharing.estimated(Some(300_000));
    for _ in 0..5 {
        scene.step();
    }
    scene.run(20, Some(2_000_000));
    assert_eq!(scene.changes, []);
}

#[test]
fn screens_are_sent_before_cameras_and_small_ones_beside_large_ones() {
    let pictures = [
        (camera(1), 500_000),
        (camera(2), 300_000),
        (screen(3), 800_000),
    ];
    let mut scene = Scene::new(&pictures);
    scene.run(5, Some(1_300_000));
    assert_eq!(scene.sharing.paused(), [camera(1)]);
    scene.run(5, Some(700_000));
    assert!(!scene.sharing.is_sent(&screen(3)));
    assert!(scene.sharing.is_sent(&camera(2)));
}

#[test]
fn who_speaks_is_seen() {
    let mut scene = Scene::new(&[(camera(1), 500_000), (camera(2), 500_000)]);
    scene.speaks = Some(1);
    scene.run(10, Some(900_000));
    assert_eq!(scene.sharing.paused(), [camera(2)]);
    scene.speaks = Some(2);
    scene.run(6, Some(900_000));
    assert_eq!(scene.sharing.paused(), [camera(1)]);
    scene.speaks = Some(1);
    scene.run(6, Some(900_000));
    assert_eq!(scene.sharing.paused(), [camera(2)]);
}

#[test]
fn what_is_gone_takes_no_room() {
    let mut scene = Scene::new(&[(camera(1), 500_000), (camera(2), 500_000)]);
    scene.run(5, Some(900_000));
    assert_eq!(scene.sharing.paused(), [camera(2)]);
    scene.pictures.remove(0);
    scene.sharing.retain(|shown| *shown == camera(2));
    scene.run(6, Some(900_000));
    assert_eq!(scene.sharing.paused(), []);
}

/// A link of a set width, and a sender's estimate of it as GCC makes one: it grows while the link
/// holds, and falls below what came through when the link does not.
struct Link {
    width: Bitrate,
    estimate: f64,
    dice: u64,
}

impl Link {
    fn noise(&mut self) -> f64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.dice >> 33) as f64 / f64::from(1_u32 << 31)
    }

    /// After a step in which so much was sent.
    fn step(&mut self, sent: Bitrate) -> Bitrate {
        let width = self.width as f64;
        let noise = 0.9 + 0.2 * self.noise();
        if sent as f64 > width {
            self.estimate = 0.85 * width * noise;
        } else {
            // It is probed for more than what is sent.
            self.estimate = (self.estimate * 1.02).min(width * noise).min(5_000_000.0);
        }
        self.estimate as Bitrate
    }
}

#[test]
fn behind_a_link_of_any_width_what_is_sent_fits_and_does_not_flap() {
    for seed in 0..200_u64 {
        let mut link = Link {
            width: 3_000_000,
            estimate: 1_000_000.0,
            dice: seed,
        };
        let pictures = [
            (camera(1), 500_000),
            (camera(2), 700_000),
            (screen(3), 900_000),
        ];
        let mut scene = Scene::new(&pictures);
        for width in [3_000_000, 200_000, 700_000, 1_100_000, 3_000_000] {
            link.width = width;
            let before = scene.changes.len();
            let mut too_much = 0;
            for step in 0..600 {
                let estimate = link.step(scene.sent());
                scene.sharing.estimated(Some(estimate));
                scene.step();
                if step >= 100 && scene.sent() > width {
                    too_much += 1;
                }
            }
            assert!(
                too_much <= 30,
                "seed {seed}, {width}: {too_much} steps of 500"
            );
            let changes = scene.changes.len() - before;
            assert!(changes <= 12, "seed {seed}, {width}: {changes} changes");
            match width {
                200_000 => assert_eq!(scene.sharing.paused().len(), 3, "seed {seed}"),
                3_000_000 => assert_eq!(scene.sharing.paused(), [], "seed {seed}"),
                _ => {}
            }
        }
    }
}
