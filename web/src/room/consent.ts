import { keptWithdrawal } from "../api/kept";
import { Refusal, type Rest } from "../api/rest";
import type { ConsentStatus, ConsentType, Purpose } from "../api/types";
import { texts } from "../text";

/** The one `consentType` that says something of both purposes, or of the one. */
export function typeOf(purposes: Purpose[]): ConsentType {
    return purposes.length === 2 ? "recording_ai" : (purposes[0] as Purpose);
}

/** The words that somebody agrees to. */
export function statement(purposes: Purpose[], host: string): string {
    const of: Record<Purpose, string> = {
        recording: texts.join.statementRecording(host),
        transcription: texts.join.statementTranscription(host),
    };
    return purposes.map((purpose) => of[purpose]).join(" ");
}

const AGAIN_MS = [250, 500, 1000, 2000];
const TRY_MS = 4000;
/** For this long an agreement waits for a withdrawal before it. */
const LOGGED_MS = 10_000;
/** A refusal of the request itself is none that repeating mends. */
const FINAL = [400, 401, 403, 404, 410, 422];

/** Says something about consent once. Answers since when it counts. */
export async function say(
    rest: Rest,
    meetingId: string,
    purposes: Purpose[],
    status: ConsentStatus,
    host: string,
): Promise<string> {
    const words = status === "accepted" ? { statement: statement(purposes, host) } : {};
    const body = { meetingId, consentType: typeOf(purposes), status, ...words };
    const said = await rest.post<Said>("/v1/users/consent", body, crypto.randomUUID());
    return said.timestamp;
}

/** What somebody in a meeting withdraws and agrees to, in this order. */
export class ConsentRequests {
    /** All that was withdrawn stands in the log. */
    private logged: Promise<unknown> = Promise.resolve();

    constructor(private readonly meetingId: string) {}

    /**
     * Withdraws, again and again with one key until it stands in the log, and once by another way
     * (`also`, with that key). Answers since when it counts, as soon as the server has it by either.
     * Until then it is kept, so that a page that is loaded again goes on with it.
     */
    withdraw(
        rest: Rest,
        purposes: Purpose[],
        also: (key: string) => Promise<string> = () => Promise.reject(new Error("there is none")),
        key: string = crypto.randomUUID(),
    ): Promise<string> {
        keptWithdrawal.write(this.meetingId, { key, purposes });
        const body = { meetingId: this.meetingId, consentType: typeOf(purposes), status: "withdrawn" };
        const post = () => rest.post<Said>("/v1/users/consent", body, key, AbortSignal.timeout(TRY_MS));
        const told = new Promise<string>((acknowledged, refused) => {
            // Without an answer the other way decides.
            also(key).then(acknowledged, () => undefined);
            const logged = untilLogged(post, acknowledged).catch(refused);
            this.logged = Promise.all([this.logged, logged]);
        });
        return told.finally(() => keptWithdrawal.write(this.meetingId, null));
    }

    /**
     * Agrees, behind what was withdrawn before: the server acts on a withdrawal before it stands in the
     * log, and there it would come after an agreement that is logged meanwhile.
     */
    async agree(rest: Rest, purposes: Purpose[], host: string): Promise<string> {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<never>((_, failed) => {
            const why = new Refusal(503, "unavailable", "a withdrawal is not in the log yet");
            timer = setTimeout(() => failed(why), LOGGED_MS);
        });
        await Promise.race([this.logged, late]).finally(() => clearTimeout(timer));
        return say(rest, this.meetingId, purposes, "accepted", host);
    }
}

interface Said {
    timestamp: string;
    /** Its place in the log, once it has one. */
    entry?: number;
}

async function untilLogged(post: () => Promise<Said>, acknowledged: (at: string) => void): Promise<void> {
    for (let n = 0; ; n++) {
        try {
            const { timestamp, entry } = await post();
            acknowledged(timestamp);
            if (entry !== undefined) {
                return;
            }
        } catch (error) {
            if (error instanceof Refusal && FINAL.includes(error.status)) {
                throw error;
            }
        }
        await new Promise((done) => setTimeout(done, AGAIN_MS[Math.min(n, AGAIN_MS.length - 1)]));
    }
}
