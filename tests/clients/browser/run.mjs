// A participant in Chromium: joins by signaling, sends its microphone (a WAV file) and perhaps a camera over WebRTC,
// plays what the others send, and tells on standard output, a line of JSON each, what it saw. It ends when its
// standard input does.
//
// node run.mjs URL SIGNAL_URL TOKEN WAV [camera]

import { launch } from "./launch.mjs";

const [, , url, signalUrl, token, voice, camera] = process.argv;

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { browser, stop } = await launch({ voice, once: true });
process.stdin.on("end", stop);
process.stdin.on("close", stop);
process.stdin.resume();

const page = await browser.newPage();
page.on("pageerror", (error) => tell({ error: String(error) }));
// A document of the server's own origin.
await page.goto(`${url}/v1/openapi.json`);
await page.exposeFunction("tell", tell);
await page.evaluate(participate, { signalUrl, token, camera: camera === "camera" });

// Runs in the page.
async function participate({ signalUrl, token, camera }) {
    const socket = new WebSocket(signalUrl, "hansard.v1");
    const waiting = new Map();
    let last = 0;
    // What is answered only when it is refused is not waited for.
    const say = (type, data, answers = true) =>
        new Promise((answered) => {
            const id = `r${++last}`;
            waiting.set(id, answered);
            socket.send(JSON.stringify({ type, id, data }));
            if (!answers) {
                answered();
            }
        });
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        waiting.get(message.re)?.(message);
        if (message.type === "media") {
            window.tell({ media: message.data });
        }
        if (message.type === "offer") {
            offers.push(message.data);
            answerOffers();
        }
        if (message.type === "error") {
            window.tell({ refused: message });
        }
    };
    // What the server offers, one after the other; not before an own offer has its answer.
    const offers = [];
    let busy = true;
    const answerOffers = async () => {
        if (busy) {
            return;
        }
        busy = true;
        for (let offer = offers.shift(); offer !== undefined; offer = offers.shift()) {
            await peer.setRemoteDescription({ type: "offer", sdp: offer.sdp });
            await peer.setLocalDescription();
            await say("answer", { sdp: peer.localDescription.sdp, id: offer.id }, false);
        }
        busy = false;
    };
    const whose = new Map();
    socket.onclose = ({ code }) => window.tell({ closed: code });
    await new Promise((opened) => (socket.onopen = opened));
    await say("join_room", { token });

    const microphone = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    const peer = new RTCPeerConnection();
    peer.onicecandidate = ({ candidate }) => {
        const { candidate: text, sdpMid, sdpMLineIndex, usernameFragment } = candidate ?? {};
        const data = candidate === null ? null : { candidate: text, sdpMid, sdpMLineIndex, usernameFragment };
        socket.send(JSON.stringify({ type: "ice_candidate", data }));
    };
    peer.onconnectionstatechange = () => window.tell({ state: peer.connectionState });
    peer.ontrack = ({ track, streams }) => {
        const [stream] = streams;
        whose.set(track.id, stream.id);
        const element = document.createElement(track.kind);
        element.srcObject = new MediaStream([track]);
        element.autoplay = true;
        document.body.append(element);
        window.tell({ track: track.id, kind: track.kind, of: stream.id });
    };
    peer.addTrack(microphone.getAudioTracks()[0], microphone);
    if (camera) {
        const pictures = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 180 } });
        peer.addTrack(pictures.getVideoTracks()[0], microphone);
    }
    await peer.setLocalDescription();
    const answer = await say("offer", { sdp: peer.localDescription.sdp });
    window.tell({ answer });
    await peer.setRemoteDescription({ type: "answer", sdp: answer.data.sdp });
    busy = false;
    answerOffers();
    setInterval(async () => {
        for (const report of (await peer.getStats()).values()) {
            if (report.type === "outbound-rtp") {
                window.tell({ sent: report.packetsSent });
            }
            if (report.type === "inbound-rtp") {
                window.tell({
                    heard: report.trackIdentifier,
                    of: whose.get(report.trackIdentifier),
                    kind: report.kind,
                    packets: report.packetsReceived,
                    lost: report.packetsLost,
                    energy: report.totalAudioEnergy,
                    frames: report.framesDecoded,
                });
            }
            if (report.type === "remote-inbound-rtp") {
                window.tell({ lost: report.packetsLost, roundTripTime: report.roundTripTime });
            }
        }
    }, 1000);
}
