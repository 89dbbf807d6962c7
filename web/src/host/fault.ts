import { Refusal } from "../api/rest";
import { texts } from "../text";

/** What went wrong on a host's page, in words. */
export function inWords(error: unknown): string {
    if (!(error instanceof Refusal)) {
        return error instanceof Error ? error.message : String(error);
    }
    switch (error.status) {
        case 0:
            return texts.fault.unreachable;
        case 401:
            return `${texts.host.signedOut}. ${texts.host.signedOutText}`;
        case 429:
            return texts.fault.many;
        default:
            return texts.fault.other(error.detail);
    }
}

/** When a meeting was, is, or is planned to be. */
export function timeOf(meeting: { startTime: string | null; scheduledTime: string | null; createdAt: string }): Date {
    return new Date(meeting.startTime ?? meeting.scheduledTime ?? meeting.createdAt);
}
