import type { Segment } from "../api/types";

/** A piece of a segment's text: a word with its time, or what stands between words. */
export interface Piece {
    text: string;
    /** Since the meeting's start; null: between words. */
    startMs: number | null;
    endMs: number | null;
    /** Where it begins in the text. */
    at: number;
}

/** Lays the words of a segment over its text, so that its spaces and signs stay. */
export function pieces(segment: Segment): Piece[] {
    const found: Piece[] = [];
    let at = 0;
    const between = (to: number) => {
        if (to > at) {
            found.push({ text: segment.text.slice(at, to), startMs: null, endMs: null, at });
        }
        at = to;
    };
    for (const { text, startMs, endMs } of segment.words ?? []) {
        const word = text.trim();
        const place = word === "" ? -1 : segment.text.indexOf(word, at);
        if (place >= 0) {
            between(place);
            found.push({ text: word, startMs, endMs, at });
            at += word.length;
        }
    }
    between(segment.text.length);
    return found;
}

/** The place of each hit: a segment and a range of its text. */
export interface Hit {
    segmentId: string;
    from: number;
    to: number;
    startMs: number;
}

export function search(segments: Segment[], what: string): Hit[] {
    const wanted = what.trim().toLocaleLowerCase();
    if (wanted === "") {
        return [];
    }
    return segments.flatMap((segment) => {
        const text = segment.text.toLocaleLowerCase();
        const hits: Hit[] = [];
        for (let from = text.indexOf(wanted); from >= 0; from = text.indexOf(wanted, from + wanted.length)) {
            const to = from + wanted.length;
            const word = pieces(segment).find((piece) => piece.startMs !== null && piece.at + piece.text.length > from);
            hits.push({ segmentId: segment.segmentId, from, to, startMs: word?.startMs ?? segment.startMs });
        }
        return hits;
    });
}

/** The last entry that began by then, in a list by time; -1: none. */
export function lastBefore(startsMs: readonly number[], ms: number): number {
    let [low, high] = [0, startsMs.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if ((startsMs[middle] as number) <= ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}
