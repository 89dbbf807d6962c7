import { Refusal } from "../api/rest";
import { texts } from "../text";

/** What is said to somebody who cannot go on. */
export interface Said {
    heading: string;
    text: string;
    /** What can be done; empty: nothing. */
    action: string;
    /** Whoever hosts finds its files. */
    files?: boolean;
    /** Trying the same again is no use. */
    final?: boolean;
}

/** Why somebody is not in the meeting, from what the server answered. */
export function whyNotHere(error: unknown, byLink: boolean): Said {
    const { fault } = texts;
    const again = (text: string): Said => ({ heading: fault.title, text, action: texts.retry });
    const final = (heading: string, text: string): Said => ({ heading, text, action: "", final: true });
    if (!(error instanceof Refusal)) {
        return again(error instanceof Error ? error.message : String(error));
    }
    switch (error.status) {
        case 0:
            return again(fault.unreachable);
        case 401:
            return byLink
                ? final(fault.linkGone, fault.linkGoneText)
                : final(fault.linkMissing, fault.linkMissingText);
        case 403:
            return byLink ? final(fault.linkGone, fault.linkClosed) : final(fault.removed, fault.removedText);
        case 404:
            return final(fault.linkGone, fault.linkGoneText);
        case 409:
            return final(fault.over, fault.overText);
        case 410:
            return final(fault.over, fault.deleted);
        case 429:
            return again(fault.many);
        case 503:
            return again(fault.full);
        default:
            return again(fault.other(error.detail));
    }
}
