// A participant in Chromium: joins by signaling, sends its microphone (a WAV file) over WebRTC, and tells on standard
// output, a line of JSON each, what it saw. It ends when its standard input does.
//
// node run.mjs URL SIGNAL_URL TOKEN WAV

import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [, , url, signalUrl, token, wav] = process.argv;
const { chromium } = createRequire(join(process.cwd(), "run.mjs"))("playwright-core");

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const profile = await mkdtemp(join(tmpdir(), "hansard-chromium-"));
const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        // Once, from when the microphone is opened.
        `--use-file-for-fake-audio-capture=${wav}%noloop`,
        // A host that has only the loopback interface gathers no candidates without it.
        "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ],
});
const stop = async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    process.exit(0);
};
process.stdin.on("end", stop);
process.stdin.on("close", stop);
process.stdin.resume();

const page = await browser.newPage();
page.on("pageerror", (error) => tell({ error: String(error) }));
// A document of the server's own origin.
await page.goto(`${url}/v1/openapi.json`);
await page.exposeFunction("tell", tell);
await page.evaluate(participate, { signalUrl, token });

// Runs in the page.
async function participate({ signalUrl, token }) {
    const socket = new WebSocket(signalUrl, "hansard.v1");
    const waiting = new Map();
    let last = 0;
    const say = (type, data) =>
        new Promise((answered) => {
            const id = `r${++last}`;
            waiting.set(id, answered);
            socket.send(JSON.stringify({ type, id, data }));
        });
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        waiting.get(message.re)?.(message);
        if (message.type === "media") {
            window.tell({ media: message.data });
        }
    };
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
    peer.addTrack(microphone.getAudioTracks()[0], microphone);
    await peer.setLocalDescription();
    const answer = await say("offer", { sdp: peer.localDescription.sdp });
    window.tell({ answer });
    await peer.setRemoteDescription({ type: "answer", sdp: answer.data.sdp });
    setInterval(async () => {
        for (const report of (await peer.getStats()).values()) {
            if (report.type === "outbound-rtp") {
                window.tell({ sent: report.packetsSent });
            }
            if (report.type === "remote-inbound-rtp") {
                window.tell({ lost: report.packetsLost, roundTripTime: report.roundTripTime });
            }
        }
    }, 1000);
}
