import assert from "node:assert/strict";
import { test } from "node:test";
import "./browser";
import type { Participant, Purpose, RecordingState } from "../src/api/types";
import { stateLine } from "../src/room/state-line";

const BOTH: Purpose[] = ["recording", "transcription"];
// Of today, as a page shows them.
const at = (minute: number) => {
    const time = new Date();
    time.setHours(10, minute, 0, 0);
    return time.toISOString();
};

const state = (more: Partial<RecordingState>): RecordingState => ({
    state: "recording",
    since: at(31),
    transcribing: true,
    transcribingSince: at(31),
    model: null,
    reason: null,
    waitingFor: [],
    unrecorded: [],
    epoch: 1,
    ...more,
});

const person = (displayName: string, consent: Partial<Participant["consent"]>, minute: number | null): Participant => ({
    id: displayName,
    userId: displayName,
    displayName,
    role: "participant",
    joinedAt: at(20),
    leftAt: null,
    present: true,
    removed: null,
    consent: { recording: null, transcription: null, ...consent },
    consentSince:
        minute === null ? { recording: null, transcription: null } : { recording: at(minute), transcription: at(minute) },
    streams: [],
});

const line = (of: Partial<RecordingState>, people: Participant[] = [], purposes = BOTH) =>
    stateLine(state(of), people, purposes).text;

test("what is kept, since when", () => {
    assert.equal(line({}), "Recorded and transcribed since 10:31.");
    assert.equal(line({ transcribingSince: at(40) }), "Recorded since 10:31. Transcribed since 10:40.");
    const silent = { transcribing: false, transcribingSince: null };
    assert.equal(line(silent), "Recorded since 10:31. Not transcribed.");
    assert.equal(line(silent, [], ["recording"]), "Recorded since 10:31.");
    assert.equal(line({ state: "off" }), "This meeting is not recorded. Transcribed since 10:31.");
    const waiting = stateLine(state({ ...silent, state: "waiting", since: null }), [], BOTH);
    assert.deepEqual([waiting.isRecording, waiting.text], [false, "Nothing is recorded: nobody has agreed yet."]);
    const ana = person("Ana", {}, null);
    assert.equal(
        line({ ...silent, state: "paused", reason: "consent", waitingFor: ["Ana"] }, [ana]),
        "Recording is paused since 10:31: the agreement of Ana is missing.",
    );
});

test("who is not, since when", () => {
    const people = [
        person("Ana", { recording: "accepted", transcription: "accepted" }, 30),
        person("Bob", { recording: "declined", transcription: "declined" }, 33),
        person("Carol", {}, null),
        person("Dan", { recording: "accepted", transcription: "withdrawn" }, 35),
    ];
    assert.equal(
        line({}, people),
        "Recorded and transcribed since 10:31. Nothing is kept of Bob (since 10:33) and Carol (since 10:20). " +
            "Not transcribed: Dan (since 10:35).",
    );
    // What the meeting does not keep of anybody is no difference.
    assert.equal(
        line({ transcribing: false, transcribingSince: null }, people.slice(2), ["recording"]),
        "Recorded since 10:31. Nothing is kept of Carol (since 10:20).",
    );
});
