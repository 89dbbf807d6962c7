import type { Participant, Purpose, RecordingState } from "../api/types";
import { listed, moment, texts } from "../text";

/** Whether a meeting is recorded and transcribed, who is not, and since when: in a few sentences. */
export function stateLine(
    state: RecordingState,
    present: Participant[],
    purposes: Purpose[],
): { text: string; isRecording: boolean } {
    const name = (id: string) => present.find((person) => person.id === id)?.displayName ?? "?";
    const kept: Purpose[] = [];
    if (state.state === "recording") {
        kept.push("recording");
    }
    if (state.transcribing) {
        kept.push("transcription");
    }
    const parts = [...what(state, name, purposes), ...whoIsNot(present, kept)];
    if (state.unrecorded.length > 0) {
        parts.push(texts.room.stateUnrecorded(listed(state.unrecorded.map(name))));
    }
    return { text: parts.join(" "), isRecording: kept.length > 0 };
}

function what(state: RecordingState, name: (id: string) => string, purposes: Purpose[]): string[] {
    const at = since(state.since);
    const transcribedAt = since(state.transcribingSince);
    if (state.state === "recording" && state.transcribing && at === transcribedAt) {
        return [texts.room.stateBoth(at)];
    }
    const parts: string[] = [];
    switch (state.state) {
        case "recording":
            parts.push(texts.room.stateRecording(at));
            break;
        case "paused":
            parts.push(
                state.reason === "disk"
                    ? texts.room.statePausedDisk(at)
                    : texts.room.statePausedFor(listed(state.waitingFor.map(name)), at),
            );
            break;
        case "waiting":
            parts.push(texts.room.stateWaiting);
            break;
        default:
            parts.push(texts.room.stateOff);
            break;
    }
    if (state.transcribing) {
        parts.push(texts.room.stateTranscribing(transcribedAt));
    } else if (state.state === "recording" && purposes.includes("transcription")) {
        parts.push(texts.room.stateNotTranscribing);
    }
    return parts;
}

/** Who is left out of what is kept of the others, once for those who are left out of the same. */
function whoIsNot(present: Participant[], kept: Purpose[]): string[] {
    const left = (purposes: Purpose[]) =>
        present
            .filter((person) => kept.every((one) => (person.consent[one] !== "accepted") === purposes.includes(one)))
            .map((person) => texts.room.nameSince(person.displayName, since(leftOutSince(person, purposes))));
    const sentences: [Purpose[], (names: string) => string][] = [
        [kept, texts.room.stateNot],
        ...(kept.length > 1
            ? ([
                  [["recording"], texts.room.stateNotRecorded],
                  [["transcription"], texts.room.stateNotTranscribed],
              ] as [Purpose[], (names: string) => string][])
            : []),
    ];
    return sentences
        .map(([purposes, sentence]) => ({ names: purposes.length > 0 ? left(purposes) : [], sentence }))
        .filter(({ names }) => names.length > 0)
        .map(({ names, sentence }) => sentence(listed(names)));
}

/** Whoever never answered is left out since they came. */
function leftOutSince(person: Participant, purposes: Purpose[]): string | null {
    const times = purposes.map((purpose) => person.consentSince[purpose] ?? person.joinedAt);
    return times.reduce((last, time) => ((time ?? "") > (last ?? "") ? time : last), null);
}

function since(time: string | null): string {
    return time === null ? "" : texts.room.stateSince(moment(new Date(time)));
}
