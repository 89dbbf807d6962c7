//! A host and a guest with cameras and a screen, in one meeting: what each sees, two tabs, and what
//! only a host can do.

use super::{
    hosted,
    person::{Person, ROOM, frames, inbound, places},
    session,
};
use crate::{
    browser::packages,
    support::{Scratch, server::Server},
};
use hansard_client::rest::Client;
use serde_json::{Value, json};

/// What somebody's pictures are encoded as.
fn codec(name: &str, source: &str) -> String {
    inbound(name, source, "stats.get(own?.codecId)?.mimeType")
}

/// A browser that sends pictures as H.264 alone.
const SENDS_H264: &str = "
const { addTransceiver } = RTCPeerConnection.prototype;
RTCPeerConnection.prototype.addTransceiver = function (...of) {
    const transceiver = addTransceiver.apply(this, of);
    if (transceiver.receiver.track.kind === 'video') {
        const { codecs } = RTCRtpReceiver.getCapabilities('video');
        transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => /h264|rtx/i.test(mimeType)));
    }
    return transceiver;
};";

/// From then on: how long after the connection the first picture was decoded.
const WATCH: &str = "window.firstPicture = (async () => {
    let connected;
    for (;;) {
        await new Promise((done) => setTimeout(done, 10));
        const room = element.shadowRoot.querySelector('hansard-room-view')?.room;
        if (room?.media !== 'connected') continue;
        connected ??= performance.now();
        const stats = await room.stats();
        const pictures = [...stats.values()].some((one) => one.type === 'inbound-rtp' && one.framesDecoded > 0);
        if (pictures) return performance.now() - connected;
    }
})()";

/// The host opens the room by a session, and agrees to nothing.
async fn enter(client: &Client, ana: &mut Person) -> String {
    let (host, id) = hosted(client, json!({"aiEnabled": false})).await;
    ana.goto(&session(client, &host).await).await;
    ana.click("button").await;
    ana.wait("hansard-meeting-list li").await;
    let room = format!("{}/m/{id}", client.base_url());
    ana.join(&room, None, "decline").await;
    ana.click("button.primary").await;
    ana.wait("#leave").await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_and_a_guest_see_each_other_and_only_the_host_ends_it() {
    let _places = places(2).await;
    let packages = packages().await;
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    // Her camera is H.264, his screen is VP8.
    let mut ana = Person::start(&packages, None);
    ana.step(json!({"step": "begin", "script": SENDS_H264}))
        .await;
    let id = enter(&client, &mut ana).await;
    ana.click("#camera").await;
    ana.wait("hansard-tile[own] video").await;
    ana.click("#copy").await;
    ana.wait("text=The link is in your clipboard").await;
    let link = pasted(&mut ana).await;

    // Who comes later sees what is shown already.
    let mut david = Person::start(&packages, None);
    david.join(&link, Some("David"), "agree").await;
    david.read("hansard-meeting", WATCH).await;
    david.click("button.primary").await;
    david.wait("#leave").await;
    let first = david.read(ROOM, "return window.firstPicture").await;
    println!("the first picture was decoded {first} ms after the connection");
    let seen = |least: u64| move |frames: &Value| frames.as_u64() >= Some(least);
    let camera = frames("Ana Berg", "camera");
    david.until(ROOM, &camera, seen(20)).await;
    let of_ana = david.read(ROOM, &codec("Ana Berg", "camera")).await;
    assert_eq!(of_ana, "video/H264");
    david.wait("hansard-tile:has-text('Ana Berg') video").await;

    // A screen is a tile of its own, as long as it is shared.
    david.click("#screen").await;
    ana.wait("hansard-tile[screen]:has-text('Screen of David') video")
        .await;
    let screen = frames("David", "screen");
    ana.until(ROOM, &screen, seen(3)).await;
    let of_david = ana.read(ROOM, &codec("David", "screen")).await;
    assert_eq!(of_david, "video/VP8");
    ana.look("shared").await;
    david.click("#screen").await;
    ana.gone("hansard-tile[screen]").await;
    ana.click("#camera").await;
    david.gone("hansard-tile:has-text('Ana Berg') video").await;
    ana.click("#camera").await;
    david.wait("hansard-tile:has-text('Ana Berg') video").await;

    second_tab(&client, &id, &link, &mut david).await;
    ana.gone("hansard-tile[screen]").await;

    ana.click("button[aria-label='Remove David']").await;
    ana.wait("text=Remove David from the meeting?").await;
    ana.click("#yes").await;
    david.wait("text=You were removed from this meeting").await;
    ana.gone("hansard-tile:has-text('David')").await;
    ana.click("#end").await;
    ana.click("#yes").await;
    ana.wait("text=The meeting has ended").await;
    let meeting = client.meeting(&id).await.expect("it is there");
    assert_eq!(meeting["status"], "ended");
    for person in [ana, david] {
        person.leave().await;
    }
    server.terminate();
}

/// What the clipboard holds, as a field elsewhere gets it.
async fn pasted(person: &mut Person) -> String {
    person
        .step(json!({"step": "tab", "url": "data:text/html,<textarea></textarea>"}))
        .await;
    person.click("textarea").await;
    person
        .step(json!({"step": "press", "key": "Control+V"}))
        .await;
    let pasted = person.read("textarea", "return element.value").await;
    person.step(json!({"step": "close"})).await;
    let link = pasted.as_str().expect("text").to_owned();
    assert!(link.contains("#hl_"), "{link}");
    link
}

/// The same person in another tab is the same participant; the first tab says so and stops.
async fn second_tab(client: &Client, id: &str, link: &str, david: &mut Person) {
    let before = client.participants(id).await.expect("people");
    david.step(json!({"step": "tab", "url": link})).await;
    david.wait("text=You come back as David").await;
    david.check("input[value=agree]").await;
    david.click("button.primary").await;
    david.wait("#leave").await;
    david.step(json!({"step": "first"})).await;
    david.wait("text=The meeting is open in another tab").await;
    david.gone(ROOM).await;
    david.step(json!({"step": "last"})).await;
    let camera = frames("Ana Berg", "camera");
    david
        .until(ROOM, &camera, |frames| frames.as_u64() >= Some(3))
        .await;
    // A reload is the same participant, too.
    david.step(json!({"step": "reload"})).await;
    david.wait("#leave").await;
    david
        .until(ROOM, &camera, |frames| frames.as_u64() >= Some(3))
        .await;
    let after = client.participants(id).await.expect("people");
    let ids = |people: &[Value]| -> Vec<Value> {
        people.iter().map(|person| person["id"].clone()).collect()
    };
    assert_eq!(ids(&before), ids(&after));
}
