import { keptGuest, keptSeat, keptWithdrawal, type KeptSeat } from "../api/kept";
import type { Rest } from "../api/rest";
import type {
    ConsentStatus,
    ConsentUpdate,
    Joined,
    Participant,
    PausedVideo,
    Purpose,
    RecordingState,
    Segment,
} from "../api/types";
import { Captions } from "../captions/captions";
import { Level } from "./level";
import { ConsentRequests, typeOf } from "./consent";
import { Peer, type PeerState, type RemoteTrack } from "./peer";
import { Socket, type End, type Entry, type Message } from "./socket";

/** What is seen and heard of somebody else. */
export interface Remote {
    audio: MediaStreamTrack | null;
    camera: MediaStreamTrack | null;
    screen: MediaStreamTrack | null;
    level: Level | null;
}

export interface RoomOptions {
    rest: Rest;
    meetingId: string;
    hostName: string;
    seat: KeptSeat;
    entry: Entry;
    microphone: MediaStreamTrack | null;
    /** Tells that something changed. */
    changed(): void;
    end(end: End | "left", detail: string): void;
}

const EMPTY: RecordingState = {
    state: "off",
    since: null,
    transcribing: false,
    transcribingSince: null,
    model: null,
    reason: null,
    waitingFor: [],
    unrecorded: [],
    epoch: 0,
};

/** A meeting as one participant is in it: what signaling told, and the own sound. */
export class Room {
    readonly people = new Map<string, Participant>();
    readonly remotes = new Map<string, Remote>();
    readonly captions = new Captions();
    recording: RecordingState = EMPTY;
    connection: "connecting" | "open" | "lost" = "connecting";
    media: PeerState | "unavailable" = "connecting";
    tries = 0;
    /** The server that answers has no room at the moment. */
    isFull = false;
    /** Pictures that do not fit through this side's network, as `PARTICIPANT SOURCE`. */
    paused: ReadonlySet<string> = new Set();
    muted: boolean;
    /** The microphone that was used is gone. */
    unplugged = false;
    /** A withdrawal is on its way: no sound is sent. */
    withdrawing = false;
    microphone: MediaStreamTrack | null;
    /** One's own pictures that are sent. */
    readonly pictures = new Map<"camera" | "screen", MediaStreamTrack>();
    private readonly socket: Socket;
    private readonly peer: Peer;
    private readonly consents: ConsentRequests;
    private seat: KeptSeat;
    private joinedSeq = 0;
    private readonly networkChanged = () => {
        this.socket.probe();
        this.peer.restart();
    };

    constructor(private readonly options: RoomOptions) {
        this.seat = options.seat;
        this.microphone = options.microphone;
        this.muted = options.seat.muted ?? false;
        this.consents = new ConsentRequests(options.meetingId);
        // What was said since the first join is replayed for the captions.
        this.socket = new Socket(options.seat.signalUrl, options.entry, 0, {
            joined: (joined, again) => this.joined(joined, again),
            message: (message) => this.told(message),
            lost: (tries, refused) => {
                this.connection = "lost";
                this.tries = tries;
                this.isFull = refused === "unavailable";
                options.changed();
            },
            end: (end, detail) => this.ended(end, detail),
        });
        this.peer = new Peer(this.socket, [], {
            state: (state) => {
                this.media = state;
                options.changed();
            },
            unavailable: () => {
                this.media = "unavailable";
                options.changed();
            },
            tracks: (tracks) => this.arrived(tracks),
            // A new stream is not muted.
            sending: () => this.muted && this.sayMuted(),
        });
        window.addEventListener("online", this.networkChanged);
        this.keepGuest();
        this.watchMicrophone();
        this.enable();
        const pending = keptWithdrawal.read(options.meetingId);
        if (pending !== null) {
            // What becomes of it is seen: whoever is refused is muted.
            void this.withdraw(pending.purposes, pending.key).catch(() => undefined);
        }
    }

    get ownId(): string {
        return this.seat.participantId;
    }

    get self(): Participant | undefined {
        return this.people.get(this.ownId);
    }

    get isHost(): boolean {
        return this.self?.role === "host";
    }

    /** Who is there, oneself first. */
    get present(): Participant[] {
        return [...this.people.values()]
            .filter((person) => person.present && person.removed === null)
            .sort((a, b) => Number(b.id === this.ownId) - Number(a.id === this.ownId) || order(a, b));
    }

    /** A credential of oneself, as a participant. */
    get token(): string | null {
        return this.seat.resumeToken;
    }

    async mute(muted: boolean): Promise<void> {
        this.muted = muted;
        this.keepSeat();
        this.enable();
        this.sayMuted();
        this.options.changed();
    }

    async speakThrough(track: MediaStreamTrack): Promise<void> {
        this.microphone?.stop();
        this.microphone = track;
        this.unplugged = false;
        this.watchMicrophone();
        this.keepSeat();
        this.enable();
        await this.sendSound();
        this.options.changed();
    }

    /** Shows a picture of one's own, or no more. */
    async show(source: "camera" | "screen", track: MediaStreamTrack | null): Promise<void> {
        this.pictures.get(source)?.stop();
        if (track === null) {
            this.pictures.delete(source);
            this.peer.remove(source);
        } else {
            this.pictures.set(source, track);
            // Sharing is also ended by a button of the browser's own.
            track.onended = () => void this.show(source, null);
            await this.peer.set(source, track);
        }
        this.options.changed();
    }

    /**
     * Withdraws. From here on no sound is sent, until it is certain that the server knows: what is
     * not sent cannot be kept. `key`: of one that was begun before.
     */
    async withdraw(purposes: Purpose[], key?: string): Promise<void> {
        this.withdrawing = true;
        // At once; to take the track away is a task of another thread.
        this.enable();
        // Who sends nothing needs no stream for it.
        const silent = this.microphone === null ? Promise.resolve() : this.peer.set("microphone", null);
        this.options.changed();
        const rest = this.options.rest.with(this.seat.consentToken);
        const data = { consentType: typeOf(purposes), status: "withdrawn" };
        try {
            const bySocket = (idempotencyKey: string) =>
                this.socket
                    .ask("consent", { ...data, idempotencyKey })
                    .then((answer) => (answer.data as ConsentUpdate).timestamp);
            const at = await this.consents.withdraw(rest, purposes, bySocket, key);
            this.answered(this.ownId, purposes, "withdrawn", at);
        } catch (error) {
            // It was refused: what is sent from here on is sent because somebody says so again.
            this.muted = true;
            this.keepSeat();
            this.sayMuted();
            throw error;
        } finally {
            this.withdrawing = false;
            await silent;
            await this.sendSound();
            this.options.changed();
        }
    }

    async agree(purposes: Purpose[]): Promise<void> {
        const rest = this.options.rest.with(this.seat.consentToken);
        await this.consents.agree(rest, purposes, this.options.hostName);
    }

    leave(): void {
        this.socket.leave();
        this.finish();
        keptSeat.write(this.options.meetingId, null);
        this.options.end("left", "");
    }

    /** Stops everything that runs. */
    finish(): void {
        window.removeEventListener("online", this.networkChanged);
        this.socket.close();
        this.peer.close();
        this.microphone?.stop();
        for (const picture of this.pictures.values()) {
            picture.stop();
        }
        for (const remote of this.remotes.values()) {
            remote.level?.close();
        }
        this.remotes.clear();
    }

    stats(): Promise<RTCStatsReport> | null {
        return this.peer.stats();
    }

    /** Tells everybody. Without a stream it is refused, which changes nothing here. */
    private sayMuted(): void {
        void this.socket.ask("mute", { source: "microphone", muted: this.muted }).catch(() => undefined);
    }

    /** For a reload: nobody is heard after it who was not before. */
    private keepSeat(): void {
        const device = this.microphone?.getSettings().deviceId ?? null;
        this.seat = { ...this.seat, device, muted: this.muted };
        if (this.seat.resumeToken !== null) {
            keptSeat.write(this.options.meetingId, this.seat);
        }
    }

    /** Who was let in is the same when they come back, also who leaves before the server has answered. */
    private keepGuest(): void {
        const { displayName, consentToken } = this.seat;
        if (displayName !== "") {
            keptGuest.write(this.options.meetingId, { displayName, consentToken });
        }
    }

    private watchMicrophone(): void {
        const track = this.microphone;
        if (track === null) {
            return;
        }
        track.onended = () => {
            if (this.microphone === track) {
                this.microphone = null;
                this.unplugged = true;
                void this.peer.set("microphone", null);
                this.keepSeat();
                this.options.changed();
            }
        };
    }

    private enable(): void {
        if (this.microphone !== null) {
            this.microphone.enabled = !this.muted && !this.withdrawing;
        }
    }

    private async sendSound(): Promise<void> {
        this.enable();
        if (!this.withdrawing && this.microphone !== null) {
            await this.peer.set("microphone", this.microphone);
        }
    }

    private joined(joined: Joined, again: boolean): void {
        const { resumeToken } = joined;
        const participantId = joined.participantId ?? this.seat.participantId;
        const consentToken = joined.consentToken ?? this.seat.consentToken;
        this.seat = { ...this.seat, participantId, resumeToken, consentToken };
        this.keepSeat();
        this.keepGuest();
        this.connection = "open";
        this.tries = 0;
        this.joinedSeq = joined.seq;
        this.people.clear();
        for (const person of joined.participants) {
            this.people.set(person.id, person);
        }
        this.captions.forgetPartials();
        this.state(joined.recording);
        if (again) {
            this.peer.resumed(joined.iceServers, joined.recording.epoch);
        } else {
            void this.sendSound();
            this.peer.start(joined.iceServers);
        }
        this.options.changed();
    }

    private told({ type, seq, data }: Message): void {
        // The picture of `joined` is newer than what is replayed for its sake; words are not in it.
        const isReplay = seq !== undefined && seq <= this.joinedSeq;
        switch (type) {
            case "participant_joined":
            case "participant_left":
            case "participant_updated":
                if (!isReplay) {
                    this.person(data as Participant);
                }
                break;
            case "consent_updated":
                if (!isReplay) {
                    const { participantId, purposes, status, timestamp } = data as ConsentUpdate;
                    this.answered(participantId, purposes, status, timestamp);
                }
                break;
            case "recording_state":
                if (!isReplay) {
                    this.state(data as RecordingState);
                    this.peer.inEpoch(this.recording.epoch);
                }
                break;
            case "transcript_update":
            case "transcript_corrected":
                this.captions.update(data as Segment, Date.now());
                break;
            case "transcript_translated":
                this.captions.translate(data.segmentId, data.text);
                break;
            case "transcript_retracted":
                this.captions.retract(data.segmentId);
                break;
            case "offer":
                this.peer.offered(data);
                break;
            case "ice_candidate":
                this.peer.candidate(data);
                break;
            case "video_paused":
                this.paused = new Set(
                    (data.paused as PausedVideo[]).map(({ participantId, source }) => `${participantId} ${source}`),
                );
                break;
            case "media":
                if (data.action === "offer") {
                    this.paused = new Set();
                    this.peer.asked(data.epoch);
                }
                break;
            default:
                return;
        }
        this.options.changed();
    }

    private person(person: Participant): void {
        this.people.set(person.id, person);
    }

    private answered(id: string, purposes: Purpose[], status: ConsentStatus, at: string): void {
        const person = this.people.get(id);
        if (person === undefined) {
            return;
        }
        const consent = { ...person.consent };
        const consentSince = { ...person.consentSince };
        for (const purpose of purposes) {
            // The same once more changes nothing of since when.
            if (consent[purpose] !== status) {
                consent[purpose] = status;
                consentSince[purpose] = at;
            }
        }
        this.people.set(id, { ...person, consent, consentSince });
    }

    private state(state: RecordingState): void {
        this.recording = state;
        this.captions.inEpoch(state.epoch);
    }

    private arrived(tracks: RemoteTrack[]): void {
        const before = new Map(this.remotes);
        this.remotes.clear();
        for (const { participantId, source, track } of tracks) {
            const remote = this.remotes.get(participantId) ?? { audio: null, camera: null, screen: null, level: null };
            if (track.kind === "audio") {
                const known = before.get(participantId);
                // A level goes on measuring the track that it was made for.
                remote.level = known?.audio === track ? known.level : new Level(track);
                remote.audio = track;
            } else {
                remote[source === "screen" ? "screen" : "camera"] = track;
                track.onmute = track.onunmute = () => this.options.changed();
            }
            this.remotes.set(participantId, remote);
        }
        for (const [id, { level }] of before) {
            if (level !== null && this.remotes.get(id)?.level !== level) {
                level.close();
            }
        }
        this.options.changed();
    }

    private ended(end: End, detail: string): void {
        this.finish();
        if (end !== "absent") {
            keptSeat.write(this.options.meetingId, null);
        }
        this.options.end(end, detail);
    }
}

function order(a: Participant, b: Participant): number {
    return (a.joinedAt ?? "").localeCompare(b.joinedAt ?? "");
}
