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
    const said = await rest.post<{ timestamp: string }>("/v1/users/consent", body, crypto.randomUUID());
    return said.timestamp;
}

/**
 * Withdraws, again and again with one key until the server has it. A repeated request never undoes
 * what was said in between. Answers since when it counts.
 */
export async function withdraw(
    rest: Rest,
    meetingId: string,
    purposes: Purpose[],
    until: AbortSignal,
): Promise<string> {
    const key = crypto.randomUUID();
    const body = { meetingId, consentType: typeOf(purposes), status: "withdrawn" };
    for (let n = 0; !until.aborted; n++) {
        const limit = AbortSignal.any([until, AbortSignal.timeout(TRY_MS)]);
        try {
            return (await rest.post<{ timestamp: string }>("/v1/users/consent", body, key, limit)).timestamp;
        } catch (error) {
            // A refusal of the request itself is none that repeating mends.
            const final = error instanceof Refusal && [400, 403, 404, 410, 422].includes(error.status);
            if (final) {
                throw error;
            }
        }
        await new Promise((done) => setTimeout(done, AGAIN_MS[Math.min(n, AGAIN_MS.length - 1)]));
    }
    throw new Error("not asked for any more");
}
