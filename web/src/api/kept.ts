/** What the pages keep in the browser: tokens of the participant, and how somebody likes to read. */

import type { Purpose } from "./types";

export interface KeptSeat {
    participantId: string;
    displayName: string;
    signalUrl: string;
    resumeToken: string | null;
    consentToken: string;
    /** The microphone that is sent; null: none. */
    device?: string | null;
    muted?: boolean;
}

function read<T>(storage: Storage, key: string): T | null {
    try {
        const text = storage.getItem(key);
        return text === null ? null : (JSON.parse(text) as T);
    } catch {
        return null;
    }
}

/** A browser may refuse storage: then a reload begins anew, and nothing else is different. */
function write(storage: Storage, key: string, value: unknown): void {
    try {
        if (value === null) {
            storage.removeItem(key);
        } else {
            storage.setItem(key, JSON.stringify(value));
        }
    } catch {
        // Nothing depends on it.
    }
}

const seat = (meeting: string) => `hansard.seat.${meeting}`;

/** This tab's place in a meeting; survives a reload. */
export const keptSeat = {
    read: (meeting: string): KeptSeat | null => read<KeptSeat>(sessionStorage, seat(meeting)),
    write: (meeting: string, value: KeptSeat | null): void => write(sessionStorage, seat(meeting), value),
};

/** A withdrawal that the server has not acknowledged yet. */
export interface KeptWithdrawal {
    /** Its Idempotency-Key. */
    key: string;
    purposes: Purpose[];
}

const withdrawal = (meeting: string) => `hansard.withdrawal.${meeting}`;

export const keptWithdrawal = {
    read: (meeting: string): KeptWithdrawal | null => read<KeptWithdrawal>(sessionStorage, withdrawal(meeting)),
    write: (meeting: string, value: KeptWithdrawal | null): void =>
        write(sessionStorage, withdrawal(meeting), value),
};

/** Who this browser was in a meeting, in whichever tab: by this a guest comes again as the same one. */
export interface KeptGuest {
    displayName: string;
    consentToken: string;
}

const guest = (meeting: string) => `hansard.guest.${meeting}`;

export const keptGuest = {
    read: (meeting: string): KeptGuest | null => read<KeptGuest>(localStorage, guest(meeting)),
    write: (meeting: string, value: KeptGuest | null): void => write(localStorage, guest(meeting), value),
};

export const keptName = {
    read: (): string => read<string>(localStorage, "hansard.name") ?? "",
    write: (name: string): void => write(localStorage, "hansard.name", name),
};

export interface CaptionLook {
    size: number;
    contrast: boolean;
    latency: boolean;
    history: boolean;
}

export const keptCaptionLook = {
    read: (): CaptionLook => ({
        size: 1,
        contrast: false,
        latency: false,
        history: true,
        ...read<Partial<CaptionLook>>(localStorage, "hansard.captions"),
    }),
    write: (look: CaptionLook): void => write(localStorage, "hansard.captions", look),
};

/** Whether this browser's microphone is sent as it hears, without echo cancellation. */
export const keptOriginalSound = {
    read: (): boolean => read<boolean>(localStorage, "hansard.original-sound") ?? false,
    write: (original: boolean): void => write(localStorage, "hansard.original-sound", original),
};
