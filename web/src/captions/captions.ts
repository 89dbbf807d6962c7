import type { Segment } from "../api/types";

/** A caption as it is shown. */
export interface Caption {
    id: string;
    participantId: string;
    speaker: string;
    startMs: number;
    text: string;
    /** UTF-16 units of `text` that will not change. */
    stable: number;
    isFinal: boolean;
    translation: string | null;
    /** From the end of what was said to when it was read here. */
    delayMs: number | null;
}

/** History that is shown; the whole transcript is the host's. */
const KEPT_MAX = 500;

/** What is said in a meeting, from its events. */
export class Captions {
    private readonly byId = new Map<string, Caption>();
    private readonly revisions = new Map<string, number>();
    private epoch: number | null = null;

    /** Finals in the order of what was said. */
    get finals(): Caption[] {
        return this.sorted((caption) => caption.isFinal);
    }

    /** What is being said. */
    get partials(): Caption[] {
        return this.sorted((caption) => !caption.isFinal);
    }

    /** Partials of a worker that is no more never end by themselves. */
    inEpoch(epoch: number): void {
        if (this.epoch !== null && this.epoch !== epoch) {
            this.forgetPartials();
        }
        this.epoch = epoch;
    }

    /** After a loss of the connection: a later revision shows again what is still being said. */
    forgetPartials(): void {
        for (const caption of this.partials) {
            this.byId.delete(caption.id);
        }
    }

    update(segment: Segment, now: number): void {
        const known = this.revisions.get(segment.segmentId) ?? 0;
        if (segment.revision < known) {
            return;
        }
        this.revisions.set(segment.segmentId, segment.revision);
        const before = this.byId.get(segment.segmentId);
        const said = segment.startAt === null ? NaN : Date.parse(segment.startAt) + segment.endMs - segment.startMs;
        const delay = now - said;
        this.byId.set(segment.segmentId, {
            id: segment.segmentId,
            participantId: segment.participant.id,
            speaker: segment.participant.displayName ?? "",
            startMs: segment.startMs,
            text: segment.text,
            stable: segment.final ? segment.text.length : segment.stableChars,
            isFinal: segment.final,
            translation: before?.translation ?? null,
            // What is replayed was not late.
            delayMs: Number.isFinite(delay) && delay < 60_000 ? Math.max(0, delay) : null,
        });
        if (segment.final && segment.text === "") {
            this.byId.delete(segment.segmentId);
        }
        this.bound();
    }

    translate(id: string, text: string): void {
        const caption = this.byId.get(id);
        if (caption !== undefined) {
            this.byId.set(id, { ...caption, translation: text });
        }
    }

    retract(id: string): void {
        this.byId.delete(id);
        this.revisions.set(id, Infinity);
    }

    private sorted(which: (caption: Caption) => boolean): Caption[] {
        return [...this.byId.values()].filter(which).sort((a, b) => a.startMs - b.startMs);
    }

    private bound(): void {
        const finals = this.finals;
        for (const caption of finals.slice(0, Math.max(0, finals.length - KEPT_MAX))) {
            this.byId.delete(caption.id);
        }
    }
}
