import assert from "node:assert/strict";
import { test } from "node:test";
import type { Segment } from "../src/api/types";
import { lastBefore, pieces, search } from "../src/player/words";

const segment = (text: string, words: string[]): Segment => ({
    segmentId: "s",
    revision: 1,
    final: true,
    participant: { id: "p", displayName: "Ana" },
    startMs: 1000,
    endMs: 2000,
    startAt: null,
    language: "en",
    text,
    stableChars: text.length,
    words: words.map((word, n) => ({ text: word, startMs: 1000 + n * 100, endMs: 1080 + n * 100, confidence: 1 })),
});

test("words lie over the text, and nothing of it is lost", () => {
    for (const [text, words] of [
        ["So, the next step.", ["So,", "the", "next", "step."]],
        ["the the the", ["the", "the", "the"]],
        [" spaces  between ", [" spaces", " between"]],
        ["edited by hand", ["something", "else"]],
        ["", []],
    ] as [string, string[]][]) {
        const found = pieces(segment(text, words));
        assert.equal(found.map((piece) => piece.text).join(""), text);
        for (const piece of found) {
            assert.equal(text.slice(piece.at, piece.at + piece.text.length), piece.text);
        }
    }
    const times = pieces(segment("the the", ["the", "the"])).map(({ startMs }) => startMs);
    assert.deepEqual(times, [1000, null, 1100]);
});

test("a hit begins at its word, in whatever case", () => {
    const segments = [segment("The next step is the Next one", ["The", "next", "step", "is", "the", "Next", "one"])];
    assert.deepEqual(
        search(segments, " NEXT ").map(({ from, to, startMs }) => [from, to, startMs]),
        [
            [4, 8, 1100],
            [21, 25, 1500],
        ],
    );
    assert.deepEqual(search(segments, "  "), []);
    // Over the end of a word.
    assert.equal(search(segments, "xt st")[0]?.startMs, 1100);
});

test("the last that began by then", () => {
    const starts = [100, 200, 200, 300];
    assert.deepEqual(
        [99, 100, 200, 250, 300, 9999].map((ms) => lastBefore(starts, ms)),
        [-1, 0, 2, 2, 3, 3],
    );
    assert.equal(lastBefore([], 5), -1);
});
