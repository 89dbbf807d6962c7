// A publisher that does what OBS Studio does by WHIP (RFC 9725), with the library that OBS does it
// with, libdatachannel: the same tracks in the same order, an offer without candidates, no PATCH, a
// DELETE with the token. Sends a file as its microphone and a moving picture, and tells on standard
// output, a line of JSON each, what it saw. It ends when its standard input does.
//
// node publish.mjs URL TOKEN WAV

import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

// Packages lie where this was started.
const require = createRequire(join(process.cwd(), "publish.mjs"));
const rtc = require("node-datachannel");

const [, , url, token, file] = process.argv;
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const OPUS = 111;
const H264 = 96;
const OPUS_BYTES = 320;
const FRAME_MS = 20;
const PICTURES_PER_S = 30;
// OBS advises its users to choose two seconds; B-frames and headers it sets by itself.
const KEY_EVERY = 2 * PICTURES_PER_S;
const FRAGMENT_MAX = 1200;
const NACK_PACKETS = 4000;
const BITS_PER_S = 10_000_000;
const AGENT = "Mozilla/5.0 (OBS-Studio/32.0.2; Linux x86_64; en-US)";

const ssrc = randomInt(1, 2 ** 31);
const [cname, stream] = ["Q8DHtM2qtyeXnwSM", "9PnxwkUdpdkBzbkA"];
const peer = new rtc.PeerConnection("obs", { iceServers: [] });
// What would be sent before that is lost.
const connected = new Promise((connected) => {
    peer.onStateChange((state) => {
        tell({ state });
        if (state === "connected") {
            connected();
        }
    });
});

// Packets, reports and retransmissions are made by the library.
function track(kind, mid, payloadType, clockRate, packetizer, handlers) {
    const number = ssrc + Number(mid);
    kind.addSSRC(number, cname, stream, `${stream}-${mid === "0" ? "audio" : "video"}`);
    const config = new rtc.RtpPacketizationConfig(number, cname, payloadType, clockRate);
    const chain = packetizer(config);
    for (const handler of [new rtc.RtcpSrReporter(config), ...handlers]) {
        chain.addToChain(handler);
    }
    const made = peer.addTrack(kind);
    made.setMediaHandler(chain);
    return { made, config };
}

const audio = new rtc.Audio("0", "SendOnly");
audio.addOpusCodec(OPUS);
const sound = track(audio, "0", OPUS, 48_000, (config) => new rtc.RtpPacketizer(config), [new rtc.RtcpNackResponder()]);
const video = new rtc.Video("1", "SendOnly");
video.addH264Codec(H264);
const picture = track(
    video,
    "1",
    H264,
    90_000,
    (config) => new rtc.H264RtpPacketizer("StartSequence", config, FRAGMENT_MAX),
    [new rtc.RtcpNackResponder(NACK_PACKETS), new rtc.PacingHandler(BITS_PER_S, 5)],
);

// It is told before any candidate was gathered.
const offer = await new Promise((described) => {
    peer.onLocalDescription((sdp) => described(sdp));
    peer.setLocalDescription();
});
const headers = { authorization: `Bearer ${token}`, "user-agent": AGENT };
const answer = await fetch(url, {
    method: "POST",
    headers: { ...headers, "content-type": "application/sdp" },
    body: offer,
});
const session = answer.headers.get("location");
const sdp = await answer.text();
tell({ offer, status: answer.status, session, answer: sdp });
peer.setRemoteDescription(sdp, "answer");
await connected;

function encoder(...more) {
    return spawn("ffmpeg", ["-loglevel", "error", "-re", ...more, "pipe:1"], {
        stdio: ["ignore", "pipe", "inherit"],
    });
}

function send({ made, config }, bytes, ticks) {
    if (made.isOpen()) {
        made.sendMessageBinary(bytes);
    }
    config.timestamp = (config.timestamp + ticks) >>> 0;
}

// Of one length each, so that they need no container.
const opus = encoder(
    ...["-i", file, "-map", "0:a", "-ac", "2", "-ar", "48000", "-c:a", "libopus", "-b:a", "128k", "-vbr", "off"],
    ...["-frame_duration", `${FRAME_MS}`, "-f", "data", "-flush_packets", "1"],
);
let frames = Buffer.alloc(0);
opus.stdout.on("data", (bytes) => {
    frames = Buffer.concat([frames, bytes]);
    for (; frames.length >= OPUS_BYTES; frames = frames.subarray(OPUS_BYTES)) {
        send(sound, frames.subarray(0, OPUS_BYTES), 48 * FRAME_MS);
    }
});

// A delimiter begins each picture.
const DELIMITER = Buffer.from([0, 0, 0, 1, 9]);
const h264 = encoder(
    ...["-f", "lavfi", "-i", `testsrc2=size=640x360:rate=${PICTURES_PER_S}`, "-c:v", "libx264", "-threads", "1"],
    ...["-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "main", "-pix_fmt", "yuv420p", "-b:v", "600k"],
    ...["-bf", "0", "-g", `${KEY_EVERY}`, "-x264-params", "aud=1:repeat-headers=1", "-f", "h264", "-flush_packets", "1"],
);
let pictures = Buffer.alloc(0);
h264.stdout.on("data", (bytes) => {
    pictures = Buffer.concat([pictures, bytes]);
    for (let next; (next = pictures.indexOf(DELIMITER, DELIMITER.length)) > 0; pictures = pictures.subarray(next)) {
        send(picture, pictures.subarray(0, next), 90_000 / PICTURES_PER_S);
    }
});

process.stdin.resume();
await new Promise((ended) => process.stdin.on("close", ended));
opus.kill();
h264.kill();
peer.close();
const gone = await fetch(session, { method: "DELETE", headers });
tell({ deleted: gone.status });
rtc.cleanup();
process.exit(0);
