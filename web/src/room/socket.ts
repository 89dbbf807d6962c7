import type { Joined } from "../api/types";

/** A message of signaling. */
export interface Message {
    type: string;
    re?: string;
    seq?: number;
    // The shape depends on the type; whoever handles it knows.
    data: any; // eslint-disable-line @typescript-eslint/no-explicit-any
}

/** An `error {code, message}` in answer to a request. */
export class Refused extends Error {
    constructor(
        readonly code: string,
        message: string,
    ) {
        super(message);
    }
}

/** Why the socket is over for good. */
export type End = "ended" | "removed" | "replaced" | "absent" | "consent_required" | "unauthorized";

export interface SocketEvents {
    joined(joined: Joined, again: boolean): void;
    message(message: Message): void;
    /** The connection is lost; it comes back by itself. `tries` in a row did not; `refused`: with this code. */
    lost(tries: number, refused: string | null): void;
    end(end: End, detail: string): void;
}

/** How a socket identifies itself. */
export type Entry = { token: string } | { resumeToken: string };

const REPLY_MS = 5000;
const JOIN_MS = 8000;
const PING_MS = 8000;
/** A socket on which nothing came for this long is dead, whatever the browser thinks of it. */
const SILENT_MS = 20_000;
/** A server that starts again is there within seconds, in which sound is lost. */
const BACKOFF_MS = [0, 250, 500, 500, 1000, 1000, 1000, 2000, 3000, 5000];

/** A participant's socket: joins, comes back after a loss, and pairs requests with their answers. */
export class Socket {
    private socket: WebSocket | null = null;
    private readonly waiting = new Map<string, { done(message: Message): void; failed(error: Error): void }>();
    private ids = 0;
    private tries = 0;
    private heardAt = 0;
    private refused: Refused | null = null;
    private timer: ReturnType<typeof setTimeout> | undefined;
    private readonly pinging: ReturnType<typeof setInterval>;
    private isClosed = false;
    private isJoined = false;
    private wasJoined = false;
    /** The last durable event that was seen. */
    private lastSeq: number | null;

    constructor(
        private readonly url: string,
        private entry: Entry,
        lastSeq: number | null,
        private readonly events: SocketEvents,
    ) {
        this.lastSeq = lastSeq;
        this.pinging = setInterval(() => this.check(), PING_MS);
        this.open();
    }

    get joined(): boolean {
        return this.isJoined;
    }

    /** Sends a request; its answer, or a {@link Refused}. */
    ask(type: string, data: unknown, withinMs = REPLY_MS): Promise<Message> {
        const id = `r${++this.ids}`;
        return new Promise((done, failed) => {
            if (!this.transmit({ type, id, data })) {
                failed(new Refused("unavailable", "the socket is not open"));
                return;
            }
            const timer = setTimeout(() => {
                this.waiting.delete(id);
                failed(new Refused("timeout", "no answer came"));
            }, withinMs);
            this.waiting.set(id, {
                done: (message) => (clearTimeout(timer), done(message)),
                failed: (error) => (clearTimeout(timer), failed(error)),
            });
        });
    }

    /** Sends what needs no answer; whether it could be sent. */
    say(type: string, data: unknown): boolean {
        return this.isJoined && this.transmit({ type, data });
    }

    /** Leaves, and closes. */
    leave(): void {
        this.say("leave", {});
        this.close();
    }

    close(): void {
        this.isClosed = true;
        clearInterval(this.pinging);
        clearTimeout(this.timer);
        this.socket?.close(1000);
        this.fail(new Refused("closed", "the socket was closed"));
    }

    /** The network changed: whether the socket still lives is seen soon. */
    probe(): void {
        if (this.isClosed) {
            return;
        }
        if (this.socket?.readyState !== WebSocket.OPEN) {
            clearTimeout(this.timer);
            this.open();
            return;
        }
        const socket = this.socket;
        const before = this.heardAt;
        this.transmit({ type: "ping", data: {} });
        setTimeout(() => {
            if (this.heardAt === before && this.socket === socket) {
                this.drop();
            }
        }, 2500);
    }

    private open(): void {
        this.socket?.close();
        const socket = new WebSocket(this.url, "hansard.v1");
        this.socket = socket;
        this.heardAt = performance.now();
        const timer = setTimeout(() => this.socket === socket && !this.isJoined && this.drop(), JOIN_MS);
        socket.onopen = () => {
            const seq = this.lastSeq === null ? {} : { lastSeq: this.lastSeq };
            this.transmit({ type: "join_room", id: "join", data: { ...this.entry, ...seq } });
        };
        socket.onmessage = ({ data }) => {
            if (this.socket === socket && typeof data === "string") {
                this.heardAt = performance.now();
                this.read(JSON.parse(data) as Message);
            }
        };
        socket.onclose = ({ code, reason }) => {
            clearTimeout(timer);
            if (this.socket === socket) {
                this.closed(code, reason);
            }
        };
    }

    private read(message: Message): void {
        if (message.re === "join") {
            if (message.type === "joined") {
                this.enter(message.data as Joined);
            } else if (message.type === "error") {
                this.refused = new Refused(message.data.code, message.data.message);
                if (message.data.code === "unavailable") {
                    this.drop();
                }
            }
            return;
        }
        if (typeof message.seq === "number") {
            this.lastSeq = Math.max(this.lastSeq ?? 0, message.seq);
        }
        const request = message.re === undefined ? undefined : this.waiting.get(message.re);
        if (request !== undefined) {
            this.waiting.delete(message.re as string);
            if (message.type === "error") {
                request.failed(new Refused(message.data.code, message.data.message));
                return;
            }
            request.done(message);
        }
        this.events.message(message);
    }

    private enter(joined: Joined): void {
        const again = this.wasJoined;
        this.isJoined = this.wasJoined = true;
        this.tries = 0;
        this.refused = null;
        // An observer has none, and comes again as it came.
        if (joined.resumeToken !== null) {
            this.entry = { resumeToken: joined.resumeToken };
        }
        this.lastSeq ??= joined.seq;
        this.events.joined(joined, again);
    }

    private closed(code: number, reason: string): void {
        this.isJoined = false;
        this.socket = null;
        this.fail(new Refused("unavailable", "the connection was lost"));
        if (this.isClosed) {
            return;
        }
        const end = endOf(code, this.refused?.code);
        if (end !== null) {
            const detail = this.refused?.message ?? reason;
            this.close();
            this.events.end(end, detail);
            return;
        }
        const wait = BACKOFF_MS[Math.min(this.tries, BACKOFF_MS.length - 1)] as number;
        this.tries += 1;
        this.events.lost(this.tries, this.refused?.code ?? null);
        // Apart from each other, so that those who were closed together do not come back at once.
        this.timer = setTimeout(() => this.open(), wait * (0.75 + Math.random() / 2));
    }

    /** Gives a socket up that the browser does not know to be dead. */
    private drop(): void {
        const socket = this.socket;
        if (socket !== null) {
            socket.onclose = socket.onmessage = socket.onopen = null;
            socket.close();
            this.closed(1006, "");
        }
    }

    private check(): void {
        if (this.socket?.readyState !== WebSocket.OPEN) {
            return;
        }
        if (performance.now() - this.heardAt > SILENT_MS) {
            this.drop();
        } else {
            this.transmit({ type: "ping", data: {} });
        }
    }

    private transmit(message: unknown): boolean {
        if (this.socket?.readyState !== WebSocket.OPEN) {
            return false;
        }
        this.socket.send(JSON.stringify(message));
        return true;
    }

    private fail(error: Error): void {
        for (const request of this.waiting.values()) {
            request.failed(error);
        }
        this.waiting.clear();
    }
}

/** What a close code means for somebody who would come back; null: come back. */
function endOf(code: number, refused: string | undefined): End | null {
    switch (code) {
        case 4000:
            return "ended";
        case 4010:
            return "replaced";
        case 4003:
            switch (refused) {
                case "absent":
                case "unauthorized":
                case "consent_required":
                    return refused;
                default:
                    return "removed";
            }
        default:
            return null;
    }
}
