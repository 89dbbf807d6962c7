import { areAllLoopback } from "./candidates";
import { Refused, type Socket } from "./socket";
import type { Source } from "../api/types";

/** "unreachable": failed, and the server takes media at loopback addresses only. */
export type PeerState = "connecting" | "connected" | "failed" | "unreachable";

export interface PeerEvents {
    state(state: PeerState): void;
    /** All that the server forwards now. */
    tracks(tracks: RemoteTrack[]): void;
    /** The server has the streams of this connection. */
    sending(): void;
    /** The server takes no media from browsers. */
    unavailable(): void;
}

/** What comes of somebody else. */
export interface RemoteTrack {
    participantId: string;
    source: Source;
    track: MediaStreamTrack;
}

/** An offer of the server, which says of whom its sections are. */
export interface ServerOffer {
    sdp: string;
    id: string;
    tracks: { mid: string; participantId: string; source: Source }[];
}

/** A connection that was lost for this long asks for a new path. */
const DISCONNECTED_MS = 2500;
const RETRY_MS = 1000;
const GLARE_MS = 300;
/** From the first offer to a path through the network. */
const CONNECT_MS = 15_000;

/**
 * The peer connection of a participant: its own tracks, and those that the server forwards.
 *
 * Perfect negotiation, as the polite side: an own offer that meets one of the server's is taken back,
 * the server's is answered, and the own one made again.
 */
export class Peer {
    private pc: RTCPeerConnection | null = null;
    private readonly own = new Map<Source, MediaStreamTrack | null>();
    private readonly senders = new Map<Source, RTCRtpTransceiver>();
    /** An own offer waits for its answer. */
    private offering = false;
    /** Something changed since the last offer was made. */
    private wanted = false;
    /** The server's newest offer, while an own one waits. */
    private kept: ServerOffer | null = null;
    /** What was answered last; the server repeats what nothing answers. */
    private answered: { id: string; sdp: string } | null = null;
    private answering = false;
    private timer: ReturnType<typeof setTimeout> | undefined;
    /** No own offer for now. */
    private held = false;
    private retry: ReturnType<typeof setTimeout> | undefined;
    private connecting: ReturnType<typeof setTimeout> | undefined;
    private isClosed = false;
    private isUnavailable = false;
    private state: PeerState = "connecting";
    /** Of the process that has the other end; null until that is known. */
    private epoch: number | null = null;

    constructor(
        private readonly socket: Socket,
        private iceServers: RTCIceServer[],
        private readonly events: PeerEvents,
    ) {}

    /** Begins anew: for the first time, after a loss, or because the server asks for it. */
    start(iceServers?: RTCIceServer[]): void {
        this.iceServers = iceServers ?? this.iceServers;
        this.drop();
        if (this.isClosed || this.isUnavailable) {
            return;
        }
        const pc = new RTCPeerConnection({ iceServers: this.iceServers });
        this.pc = pc;
        pc.onicecandidate = ({ candidate }) => {
            const { candidate: text, sdpMid, sdpMLineIndex, usernameFragment } = candidate ?? {};
            this.socket.say(
                "ice_candidate",
                candidate === null ? null : { candidate: text, sdpMid, sdpMLineIndex, usernameFragment },
            );
        };
        pc.onconnectionstatechange = () => this.pc === pc && this.changed(pc.connectionState);
        pc.onnegotiationneeded = () => this.pc === pc && this.want();
        this.watch();
        for (const [source, track] of this.own) {
            this.add(source, track);
        }
        if (!this.own.has("microphone")) {
            // Somebody who only listens has a connection, too.
            pc.addTransceiver("audio", { direction: "recvonly" });
        }
    }

    /** A participant's own track; null sends nothing and keeps its place. */
    async set(source: Source, track: MediaStreamTrack | null): Promise<void> {
        this.own.set(source, track);
        const transceiver = this.senders.get(source);
        if (transceiver === undefined) {
            if (this.pc !== null) {
                this.add(source, track);
            }
            return;
        }
        await transceiver.sender.replaceTrack(track);
    }

    /** Ends a track of one's own, so that the others see that there is none. */
    remove(source: Source): void {
        this.own.delete(source);
        const transceiver = this.senders.get(source);
        this.senders.delete(source);
        transceiver?.stop();
    }

    /** The network changed, or the socket is back: a new path is looked for. */
    restart(): void {
        const pc = this.pc;
        if (pc === null || pc.connectionState === "failed" || pc.connectionState === "closed") {
            this.start();
        } else {
            pc.restartIce();
            this.want();
        }
    }

    /** The meeting is held in this epoch: where the other end of an earlier one is gone, begins anew and says so. */
    inEpoch(epoch: number): boolean {
        if (this.epoch === null || epoch <= this.epoch) {
            return false;
        }
        this.start();
        this.epoch = epoch;
        return true;
    }

    /** The server asks for a new connection, in this epoch. */
    asked(epoch: number): void {
        if (this.epoch === null) {
            this.start();
        }
        this.inEpoch(epoch);
    }

    /** The socket is back, and the meeting is held in this epoch: what waited for it goes on. */
    resumed(iceServers: RTCIceServer[], epoch: number): void {
        this.iceServers = iceServers;
        if (this.inEpoch(epoch)) {
            return;
        }
        if (this.pc?.connectionState === "connected") {
            void this.offer();
        } else {
            this.restart();
        }
    }

    /** An offer of the server. It waits until an own one has its answer or error. */
    offered(offer: ServerOffer): void {
        this.kept = offer;
        void this.answer();
    }

    candidate(data: RTCIceCandidateInit | null): void {
        void this.pc?.addIceCandidate(data ?? undefined).catch(() => undefined);
    }

    /** What of one's own is sent, and what is heard of the others. */
    stats(): Promise<RTCStatsReport> | null {
        return this.pc?.getStats() ?? null;
    }

    close(): void {
        this.isClosed = true;
        this.drop();
    }

    private add(source: Source, track: MediaStreamTrack | null): void {
        const kind = source === "microphone" ? "audio" : "video";
        const transceiver = this.pc?.addTransceiver(track ?? kind, { direction: "sendonly" });
        if (transceiver !== undefined) {
            this.senders.set(source, transceiver);
        }
    }

    private want(): void {
        this.wanted = true;
        void this.offer();
    }

    private async offer(): Promise<void> {
        const pc = this.pc;
        const isBusy = this.offering || this.answering || this.held || this.kept !== null;
        if (pc === null || isBusy || !this.wanted || !this.socket.joined || pc.signalingState !== "stable") {
            return;
        }
        this.offering = true;
        this.wanted = false;
        try {
            await pc.setLocalDescription();
            const sdp = repeatsSound(pc.localDescription?.sdp ?? "");
            const answer = await this.socket.ask("offer", { sdp, tracks: this.tracks() });
            if (this.pc === pc && answer.type === "answer") {
                this.epoch = answer.data.epoch;
                await pc.setRemoteDescription({ type: "answer", sdp: answer.data.sdp });
                this.events.sending();
            }
        } catch (error) {
            if (this.pc === pc) {
                await this.refused(pc, error);
            }
        } finally {
            this.offering = false;
            this.goOn();
        }
    }

    private async answer(): Promise<void> {
        const pc = this.pc;
        const offer = this.kept;
        if (pc === null || offer === null || this.offering || this.answering) {
            return;
        }
        this.kept = null;
        if (this.answered?.id === offer.id) {
            this.socket.say("answer", this.answered);
            this.goOn();
            return;
        }
        this.answering = true;
        try {
            await pc.setRemoteDescription({ type: "offer", sdp: offer.sdp });
            await pc.setLocalDescription();
            this.answered = { id: offer.id, sdp: pc.localDescription?.sdp ?? "" };
            this.socket.say("answer", this.answered);
            this.events.tracks(heard(pc, offer.tracks));
        } catch (error) {
            if (this.pc === pc) {
                console.warn("an offer could not be answered", error);
                this.later(() => this.start());
            }
        } finally {
            this.answering = false;
            this.goOn();
        }
    }

    /** What waited for an offer or an answer to be done. */
    private goOn(): void {
        if (this.kept !== null) {
            void this.answer();
        } else if (this.wanted) {
            void this.offer();
        }
    }

    private async refused(pc: RTCPeerConnection, error: unknown): Promise<void> {
        const code = error instanceof Refused ? error.code : "";
        this.held = true;
        if (pc.signalingState === "have-local-offer") {
            await pc.setLocalDescription({ type: "rollback" }).catch(() => undefined);
        }
        switch (code) {
            case "webrtc_unavailable":
                this.isUnavailable = true;
                this.drop();
                this.events.unavailable();
                return;
            case "failed":
                this.later(() => this.start());
                return;
            case "glare":
                // The server's offer is sent again at once; the own one follows its answer.
                this.again(GLARE_MS);
                return;
            case "ended":
            case "removed":
            case "consent_required":
            case "closed":
                return;
            default:
                // Nobody holds the meeting yet, or the socket was lost: ask again.
                this.again(RETRY_MS);
        }
    }

    /** Offers again later. What is taken back is needed still, which the browser says at once. */
    private again(ms: number): void {
        clearTimeout(this.retry);
        this.held = true;
        this.retry = setTimeout(() => {
            this.held = false;
            this.want();
        }, ms);
    }

    private changed(state: RTCPeerConnectionState): void {
        clearTimeout(this.timer);
        switch (state) {
            case "connected":
                clearTimeout(this.connecting);
                this.tell("connected");
                break;
            case "disconnected":
                this.tell("connecting");
                // Where the network changed, the socket is dead as well, and a restart needs it.
                this.socket.probe();
                this.later(() => this.restart(), DISCONNECTED_MS);
                break;
            case "failed":
                this.fail();
                this.later(() => this.start());
                break;
            default:
                if (this.state === "connected") {
                    this.tell("connecting");
                }
        }
    }

    private watch(): void {
        clearTimeout(this.connecting);
        this.connecting = setTimeout(() => this.fail(), CONNECT_MS);
    }

    private fail(): void {
        const server = this.pc?.remoteDescription?.sdp ?? "";
        this.tell(areAllLoopback(server) ? "unreachable" : "failed");
    }

    private tell(state: PeerState): void {
        if (this.state !== state) {
            this.state = state;
            this.events.state(state);
        }
    }

    private tracks(): { mid: string; source: Source }[] {
        return [...this.senders]
            .filter(([, transceiver]) => transceiver.mid !== null && transceiver.currentDirection !== "stopped")
            .map(([source, transceiver]) => ({ mid: transceiver.mid as string, source }));
    }

    private later(what: () => void, ms = RETRY_MS): void {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => !this.isClosed && what(), ms);
    }

    private drop(): void {
        clearTimeout(this.timer);
        clearTimeout(this.connecting);
        clearTimeout(this.retry);
        this.senders.clear();
        this.wanted = this.held = false;
        this.epoch = null;
        this.kept = this.answered = null;
        const pc = this.pc;
        this.pc = null;
        if (pc !== null) {
            pc.close();
            this.events.tracks([]);
        }
    }
}

/** Browsers repeat sound that is asked for again (NACK) as they do pictures, but declare it for those only. */
function repeatsSound(sdp: string): string {
    return sdp.replace(/^a=rtpmap:(\d+) opus\/48000\/2\r\n/gm, "$&a=rtcp-fb:$1 nack\r\n");
}

/** The tracks of the sections that an offer names. */
function heard(pc: RTCPeerConnection, named: ServerOffer["tracks"]): RemoteTrack[] {
    return named.flatMap(({ mid, participantId, source }) => {
        const transceiver = pc.getTransceivers().find((one) => one.mid === mid);
        return transceiver === undefined ? [] : [{ participantId, source, track: transceiver.receiver.track }];
    });
}
