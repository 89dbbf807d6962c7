//! Ports used again and senders that go on, pause and come back: who is taken for whom, over hours,
//! without any media.

use super::random::Random;
use hansard_domain::{
    id::ParticipantId,
    limits::PORT_QUIET,
    source::{Change, Owner, Source, Terms},
    stream::{MediaKind, MediaSource},
    time::Micros,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};
use uuid::Uuid;

const PORTS: usize = 3;

/// A sender, and where it was told to send last. It does not hear of its stream's end.
struct Sender {
    who: usize,
    from: SocketAddr,
    ssrc: u32,
    to: Option<usize>,
    sends: bool,
}

/// A port: its stream, when something came last, and what is remembered of who sent to it.
#[derive(Default)]
struct Port {
    stream: Option<(usize, Source)>,
    left: Option<i64>,
    known: BTreeSet<(SocketAddr, usize)>,
    /// Whose stream it had last, and who sent there since that began and was not taken.
    last: Option<usize>,
    strangers: BTreeSet<SocketAddr>,
}

impl Port {
    fn is_free(&self, now: i64) -> bool {
        self.stream.is_none() && self.left.is_none_or(|at| now - at >= PORT_QUIET.0)
    }
}

pub fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0x5a5a);
    // Neighbours on one host, some with one SSRC.
    let at = |n: u16| SocketAddr::from(([127, 0, 0, 1], 5_000 + n));
    let mut senders: Vec<Sender> = (0..6)
        .map(|n| Sender {
            who: n,
            from: at(n as u16),
            ssrc: 1 + (n as u32) % 2,
            to: None,
            sends: false,
        })
        .collect();
    let mut ports: Vec<Port> = (0..PORTS).map(|_| Port::default()).collect();
    let mut taken: BTreeMap<usize, u64> = BTreeMap::new();
    let mut now = 0;
    for _ in 0..3_000 {
        now += random.one(&[20_000, 200_000, 1_000_000, 8_000_000]);
        let who = random.within(0, 6) as usize;
        match random.within(0, 10) {
            0 => open(&mut ports, &mut senders[who], &mut random, now),
            1 => {
                let port = random.within(0, PORTS as i64) as usize;
                if ports[port].stream.take().is_some() {
                    ports[port].left = Some(now);
                }
            }
            2 => senders[who].sends = !senders[who].sends,
            _ => {}
        }
        for sender in senders.iter().filter(|sender| sender.sends) {
            let Some(port) = sender.to.map(|to| &mut ports[to]) else {
                continue;
            };
            port.left = port.left.map(|_| now);
            let Some((owner, source)) = &mut port.stream else {
                port.strangers.insert(sender.from);
                continue;
            };
            let clock = Micros(now);
            if source
                .admits(sender.from, sender.ssrc, true, clock)
                .is_err()
            {
                port.strangers.insert(sender.from);
                continue;
            }
            assert_eq!(
                *owner, sender.who,
                "seed {seed}: {} was taken for {owner} at {now}",
                sender.who
            );
            *taken.entry(sender.who).or_default() += 1;
            let Change { address, .. } = source.take(sender.from, sender.ssrc, true, clock);
            if address {
                port.known.insert((sender.from, sender.who));
            }
        }
    }
    assert!(
        taken.len() >= 3,
        "seed {seed}: hardly anybody was heard: {taken:?}"
    );
}

fn open(ports: &mut [Port], sender: &mut Sender, random: &mut Random, now: i64) {
    // Its next stream takes the place of the one before.
    for port in ports.iter_mut().filter(|port| {
        port.stream
            .as_ref()
            .is_some_and(|(who, _)| *who == sender.who)
    }) {
        port.stream = None;
        port.left = Some(now);
    }
    let of = |who: usize| Owner {
        participant: ParticipantId(Uuid::from_u128(who as u128)),
        kind: MediaKind::Audio,
        source: MediaSource::Microphone,
    };
    // Else the port of the stream whose place it takes, which may not have rested; who else sends
    // there is foreign to it.
    let makes_room = |port: &Port| {
        port.stream.is_none()
            && port
                .last
                .is_some_and(|who| of(who).makes_room_for(&of(sender.who)))
    };
    let free = ports.iter().position(|port| port.is_free(now));
    let Some(number) = free.or_else(|| ports.iter().position(makes_room)) else {
        return;
    };
    let port = &mut ports[number];
    let mut foreign: BTreeSet<SocketAddr> = port
        .known
        .iter()
        .filter(|(_, who)| *who != sender.who)
        .map(|(from, _)| *from)
        .collect();
    if free.is_none() {
        foreign.extend(
            port.strangers
                .iter()
                .filter(|from| !port.known.contains(&(**from, sender.who))),
        );
    } else {
        port.strangers.clear();
    }
    port.last = Some(sender.who);
    let terms = Terms {
        ssrc: random.chance(0.5).then_some(sender.ssrc),
        remote: random.chance(0.2).then_some(sender.from),
        relatch: random.chance(0.3),
        secured: false,
        foreign,
    };
    let terms = Terms {
        relatch: terms.relatch && terms.remote.is_none(),
        ..terms
    };
    let mut source = Source::new(terms, None, None, Micros(now));
    // It begins at once, so that its address is known to the port.
    if source
        .admits(sender.from, sender.ssrc, true, Micros(now))
        .is_ok()
    {
        source.take(sender.from, sender.ssrc, true, Micros(now));
        port.known.insert((sender.from, sender.who));
    }
    (port.stream, port.left) = (Some((sender.who, source)), None);
    (sender.to, sender.sends) = (Some(number), true);
}
