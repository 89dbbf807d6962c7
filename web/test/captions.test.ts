import assert from "node:assert/strict";
import { test } from "node:test";
import type { Segment } from "../src/api/types";
import { Captions } from "../src/captions/captions";

const said = (id: string, revision: number, text: string, more: Partial<Segment> = {}): Segment => ({
    segmentId: id,
    revision,
    final: false,
    participant: { id: "p", displayName: "Ana" },
    startMs: 1000,
    endMs: 2000,
    startAt: null,
    language: "en",
    text,
    stableChars: 0,
    words: null,
    ...more,
});
const texts = (captions: { text: string }[]) => captions.map(({ text }) => text);

test("a segment has its newest revision, and is a partial until its final", () => {
    const captions = new Captions();
    captions.update(said("a", 1, "so the"), 0);
    captions.update(said("a", 3, "so the next step"), 0);
    captions.update(said("a", 2, "so the next"), 0);
    assert.deepEqual(texts(captions.partials), ["so the next step"]);
    captions.update(said("a", 4, "So the next step.", { final: true }), 0);
    assert.deepEqual([texts(captions.partials), texts(captions.finals)], [[], ["So the next step."]]);
});

test("what is retracted stays away, whatever comes late", () => {
    const captions = new Captions();
    captions.update(said("a", 1, "not this", { final: true }), 0);
    captions.retract("a");
    captions.update(said("a", 2, "not this either"), 0);
    assert.deepEqual([captions.partials, captions.finals], [[], []]);
});

test("partials of a worker that is no more are forgotten, finals are kept", () => {
    const captions = new Captions();
    captions.inEpoch(1);
    captions.update(said("a", 1, "Done.", { final: true }), 0);
    captions.update(said("b", 1, "never to be"), 0);
    captions.inEpoch(1);
    assert.deepEqual(texts(captions.partials), ["never to be"]);
    captions.inEpoch(2);
    assert.deepEqual([texts(captions.partials), texts(captions.finals)], [[], ["Done."]]);
});

test("the delay is from the end of what was said, and what is replayed has none", () => {
    const captions = new Captions();
    const startAt = "2026-11-22T16:00:00.000Z";
    captions.update(said("a", 1, "late", { startAt }), Date.parse(startAt) + 1600);
    captions.update(said("b", 1, "replayed", { startAt, startMs: 1500 }), Date.parse(startAt) + 3_600_000);
    assert.deepEqual(
        captions.partials.map(({ delayMs }) => delayMs),
        [600, null],
    );
});

test("finals stand in the order of what was said", () => {
    const captions = new Captions();
    captions.update(said("b", 1, "second", { final: true, startMs: 5000 }), 0);
    captions.update(said("a", 1, "first", { final: true, startMs: 2000 }), 0);
    assert.deepEqual(texts(captions.finals), ["first", "second"]);
});
