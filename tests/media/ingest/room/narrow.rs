//! A listener behind a link of a set width: sound comes, pictures wait until they fit.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::{net::UdpSocket, time::sleep_until};

/// What waits in front of the link, at most; more is lost.
const QUEUE: Duration = Duration::from_millis(200);
/// Nothing is under way any more when nothing came for so long.
const QUIET: Duration = Duration::from_secs(2);
const WIDE: u64 = 6_000_000;
const NARROW: u64 = 250_000;

/// A link whose way back is of a set width, in bits per second.
struct Link {
    at: SocketAddr,
    width: Arc<AtomicU64>,
}

impl Link {
    async fn to(server: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind((LOOPBACK, 0)).await.expect("a port"));
        let back = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
        let at = front.local_addr().expect("its address");
        let width = Arc::new(AtomicU64::new(WIDE));
        let (to, mut waiting) = mpsc::unbounded_channel::<(Instant, Vec<u8>, SocketAddr)>();
        let out = front.clone();
        tokio::spawn(async move {
            while let Some((due, bytes, client)) = waiting.recv().await {
                sleep_until(due.into()).await;
                let _ = out.send_to(&bytes, client).await;
            }
        });
        let set = width.clone();
        tokio::spawn(async move {
            let (mut forth, mut here) = ([0; 2_000], [0; 2_000]);
            let (mut client, mut free) = (None, Instant::now());
            loop {
                tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut forth) => {
                        client = Some(from);
                        let _ = back.send_to(&forth[..length], server).await;
                    }
                    Ok((length, _)) = back.recv_from(&mut here) => {
                        let now = Instant::now();
                        let due = free.max(now);
                        let Some(client) = client.filter(|_| due - now <= QUEUE) else { continue };
                        let bits = 8 * length as u64;
                        let takes = bits * 1_000_000 / set.load(Ordering::Relaxed);
                        free = due + Duration::from_micros(takes);
                        if to.send((free, here[..length].to_vec(), client)).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { at, width }
    }

    fn set(&self, width: u64) {
        self.width.store(width, Ordering::Relaxed);
    }

    /// An answer whose only candidate is this link.
    fn leads(&self, answer: &str) -> String {
        let mut written = false;
        let mut described = String::new();
        for line in answer.split_inclusive('\n') {
            if !line.starts_with("a=candidate:") {
                described += line;
            } else if !written {
                written = true;
                let (ip, port) = (self.at.ip(), self.at.port());
                described += &format!("a=candidate:1 1 udp 2130706431 {ip} {port} typ host\r\n");
            }
        }
        described
    }
}

/// Ana speaks and shows herself to Bob.
struct Talk {
    ana: Call,
    bob: Call,
    said: usize,
    asked: u32,
    pictures: u8,
}

impl Talk {
    /// One voice frame and one picture of three packets, 1.1 Mbit/s together.
    async fn step(&mut self) {
        let frame = [voice(1, self.said + 1).pop().expect("a frame")];
        self.said += 1;
        let key = self.ana.browser.key_frames_wanted > self.asked;
        self.asked = self.ana.browser.key_frames_wanted;
        for part in 0..3 {
            let first = if part == 0 { 0x10 } else { 0x00 };
            let ticks = if part == 0 { 1_800 } else { 0 };
            let payload = [&[first, u8::from(!key), self.pictures][..], &[part; 900]].concat();
            let shown = self.ana.browser.show(&payload, ticks, part == 2);
            shown.expect("a camera");
        }
        self.pictures = self.pictures.wrapping_add(1);
        if let Some(offer) = self.bob.open_offer() {
            self.bob.answer(&offer).await;
        }
        // He answers whatever comes all the time, as the round trip is measured.
        let turn = Instant::now() + Duration::from_millis(40);
        let ((), hears) = tokio::join!(self.ana.speak(&frame), self.bob.browser.run(turn));
        hears.expect("connected");
    }

    /// Goes on until that is so.
    async fn until(&mut self, what: &str, within: Duration, so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + within;
        while !so(self) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.bob.paused);
            self.step().await;
        }
    }

    async fn go_on(&mut self, for_how_long: Duration) {
        let end = Instant::now() + for_how_long;
        while Instant::now() < end {
            self.step().await;
        }
    }

    fn came(&self, source: &str) -> Vec<Received> {
        let all = self.bob.browser.received.iter();
        all.filter(|got| got.source == source).cloned().collect()
    }
}

/// How many of these were lost.
fn lost(of: &[Received]) -> (usize, usize) {
    let (Some(first), Some(last)) = (of.first(), of.last()) else {
        return (0, 0);
    };
    let sent = usize::from(last.sequence.wrapping_sub(first.sequence)) + 1;
    let came: BTreeSet<u16> = of.iter().map(|got| got.sequence).collect();
    (sent - came.len(), sent)
}

/// The last sequence number of these, in the order of RFC 3550.
fn newest(of: &[Received]) -> u16 {
    let later = |a: u16, b: u16| if b.wrapping_sub(a) < 1 << 15 { b } else { a };
    let numbers = of.iter().map(|got| got.sequence);
    numbers.reduce(later).expect("some came")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_pictures_do_not_fit_sound_comes_whole_and_they_come_back() {
    let place = Place::of(&[1, 2]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let _camera = ana.show_camera(&place, 1).await;
    let link = Link::to((LOOPBACK, place.endpoint.port()).into()).await;
    let bob = Call::join_by(&place, 2, 4_096, |sdp| link.leads(sdp)).await;
    let mut talk = Talk {
        ana,
        bob,
        said: 0,
        asked: 0,
        pictures: 0,
    };
    let wide = |talk: &Talk| talk.came("camera").len() > 300;
    talk.until("he sees her", 4 * SOON, wide).await;
    // A busy machine answers late, which may pause them for a while.
    let deadline = Instant::now() + 8 * SOON;
    loop {
        let told = talk.bob.paused.1;
        talk.go_on(Duration::from_secs(3)).await;
        if talk.bob.paused == (vec![], told) {
            break;
        }
        assert!(Instant::now() < deadline, "a wide link has room");
    }
    let sound = talk.came("microphone").len();
    assert!(sound > 100);

    link.set(NARROW);
    let narrowed = Instant::now();
    let is_paused = |talk: &Talk| talk.bob.paused.0.len() == 1;
    talk.until("he is told", 4 * SOON, is_paused).await;
    println!("paused after {:?}", narrowed.elapsed());
    assert_eq!(talk.bob.paused.0[0].participant, who(1));
    assert_eq!(talk.bob.paused.0[0].source, MediaSource::Camera);
    let transition = talk.came("microphone").split_off(sound);
    println!("sound lost meanwhile: {:?}", lost(&transition));
    // What was under way: the pacer holds up to 2 s, and what is lost of it is repeated through the
    // same pacer.
    let is_quiet = |talk: &Talk| {
        let camera = talk.came("camera");
        camera.last().is_none_or(|got| got.at.elapsed() > QUIET)
    };
    talk.until("what was under way has come", 8 * SOON, is_quiet)
        .await;
    let (sound, pictures) = (talk.came("microphone").len(), talk.came("camera").len());
    talk.go_on(Duration::from_secs(8)).await;
    talk.until("sound goes on", 8 * SOON, |talk| {
        talk.came("microphone").len() > sound + 110
    })
    .await;
    let during = talk.came("microphone").split_off(sound);
    println!("sound lost while paused: {:?}", lost(&during));
    let (missing, sent) = lost(&during);
    assert!(sent > 100 && missing * 100 <= sent, "{missing} of {sent}");
    // What was lost before is still repeated; nothing newer comes.
    let camera = talk.came("camera");
    let (before, since) = camera.split_at(pictures);
    let newest = newest(before);
    let ahead = |got: &Received| got.sequence.wrapping_sub(newest);
    let is_newer = |got: &Received| (1..1 << 15).contains(&ahead(got));
    assert!(!since.iter().any(is_newer), "it is paused: {since:?}");
    let pictures = camera.len();

    link.set(WIDE);
    let widened = Instant::now();
    talk.until("they come back", 8 * SOON, |talk| {
        talk.came("camera").len() > pictures + 100 && talk.bob.paused.0.is_empty()
    })
    .await;
    println!("back after {:?}", widened.elapsed());
    // A slow machine may repeat what was lost before even now.
    let mut back = talk.came("camera").split_off(pictures);
    back.retain(is_newer);
    let first = back.iter().min_by_key(|got| ahead(got)).expect("new ones");
    assert_eq!(first.payload[..2], [0x10, 0], "from a key frame on");
    println!("numbers between: {}", ahead(first));
}
