//! What a connection's pacer holds back, of somebody who may not be heard any more.

use super::*;

/// More at once than a network is taken to have room for in half a second.
const BURST: usize = 480;
/// Of these packets.
const PICTURE: usize = 40;
const PART: [u8; 1_100] = [0; 1_100];
/// Bursts, of which one that shows it is enough.
const TRIES: usize = 5;
/// What is between two sockets.
const UNDER_WAY: Duration = Duration::from_millis(100);
/// The pacer has sent everything by then.
const DRAINED: Duration = Duration::from_secs(3);

fn seen(by: &Call) -> usize {
    let all = by.browser.received.iter();
    all.filter(|got| got.source == "camera").count()
}

/// Shows one picture of that many packets.
fn show(ana: &mut Call, packets: usize) {
    for n in 0..packets {
        let payload = [&[0x10, u8::from(n > 0)][..], &PART].concat();
        let ticks = if n == 0 { 3_000 } else { 0 };
        let shown = ana.browser.show(&payload, ticks, n + 1 == packets);
        shown.expect("a camera");
    }
}

async fn pass(calls: [&mut Call; 2], time: Duration) {
    let until = Instant::now() + time;
    let [one, two] = calls.map(|call| call.browser.run(until));
    let (one, two) = tokio::join!(one, two);
    one.and(two).expect("connected");
}

/// What becomes of a burst's packets.
#[derive(Debug)]
struct Burst {
    /// The room has them at that moment.
    taken: u64,
    /// They come soon after it.
    soon: usize,
    /// They come.
    all: usize,
}

/// Ana shows Bob a burst; `then` comes in its midst.
async fn burst(then: impl FnOnce(&Place)) -> Burst {
    let place = Place::of(&[1, 2]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let camera = ana.show_camera(&place, 1).await;
    let mut bob = Call::join(&place, 2, 4_096).await;
    let deadline = Instant::now() + 2 * SOON;
    while seen(&bob) == 0 {
        assert!(Instant::now() < deadline, "he sees her");
        if let Some(offer) = bob.open_offer() {
            bob.answer(&offer).await;
        }
        show(&mut ana, 1);
        tokio::join!(ana.turn(), bob.turn());
    }
    let (before, taken) = (seen(&bob), camera.0.counts().taken());
    // A part at a time, as a socket has room for.
    for _ in 0..BURST / PICTURE {
        show(&mut ana, PICTURE);
        pass([&mut ana, &mut bob], Duration::from_millis(1)).await;
    }
    while seen(&bob) < before + 20 {
        assert!(Instant::now() < deadline, "the burst comes");
        pass([&mut ana, &mut bob], Duration::from_millis(1)).await;
    }
    let taken = camera.0.counts().taken() - taken;
    then(&place);
    pass([&mut ana, &mut bob], UNDER_WAY).await;
    let soon = seen(&bob);
    pass([&mut ana, &mut bob], DRAINED).await;
    Burst {
        taken,
        soon: soon - before,
        all: seen(&bob) - before,
    }
}

fn waits(bursts: &[Burst]) -> bool {
    bursts.iter().any(|burst| burst.soon + 50 < burst.all)
}

/// What the room has not taken by then is not even kept, which shows nothing.
fn is_dropped(bursts: &[Burst]) -> bool {
    bursts.iter().any(|burst| {
        let is_taken = burst.taken * 10 >= BURST as u64 * 8;
        is_taken && burst.soon == burst.all && burst.all < BURST / 2
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_of_somebody_who_may_not_be_heard_any_more_is_not_sent() {
    // The pacer is through in a quarter of a second, which a busy machine may sleep over.
    let mut bursts = Vec::new();
    for _ in 0..TRIES {
        bursts.push(burst(|_| ()).await);
        if waits(&bursts) {
            break;
        }
    }
    println!("{bursts:?} came soon and in all");
    assert!(waits(&bursts), "{bursts:?}: nothing waits");
    let mut bursts = Vec::new();
    for _ in 0..TRIES {
        let recheck = |place: &Place| {
            place.gate.set_live([who(2)].into());
            place.room.recheck();
        };
        bursts.push(burst(recheck).await);
        if is_dropped(&bursts) {
            break;
        }
    }
    println!("{bursts:?} came soon and in all, and the rest was dropped");
    assert!(is_dropped(&bursts), "{bursts:?} of {BURST} came");
}
