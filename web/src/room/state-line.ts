import type { Participant, Purpose, RecordingState } from "../api/types";
import { listed, texts, timeOfDay } from "../text";

/** Whether a meeting is recorded and transcribed, since when, and who is not: in one or two sentences. */
export function stateLine(
    state: RecordingState,
    since: Date | null,
    present: Participant[],
    purposes: Purpose[],
): { text: string; isRecording: boolean } {
    const name = (id: string) => present.find((person) => person.id === id)?.displayName ?? "?";
    const parts: string[] = [];
    const isRecording = state.state === "recording" || state.transcribing;
    const at = since === null ? "" : ` ${texts.room.stateSince(timeOfDay(since))}`;
    switch (state.state) {
        case "recording":
            parts.push(
                state.transcribing
                    ? `${texts.room.stateRecording} ${texts.and} ${texts.room.stateTranscribing}${at}.`
                    : `${texts.room.stateRecording}${at}.`,
            );
            break;
        case "paused":
            parts.push(
                state.reason === "disk"
                    ? texts.room.statePausedDisk
                    : texts.room.statePausedFor(listed(state.waitingFor.map(name))),
            );
            break;
        case "waiting":
            parts.push(texts.room.stateWaiting);
            break;
        default:
            parts.push(texts.room.stateOff);
            break;
    }
    if (isRecording) {
        const left = present.filter((person) => purposes.some((purpose) => person.consent[purpose] !== "accepted"));
        if (left.length > 0) {
            parts.push(texts.room.stateNot(listed(left.map((person) => person.displayName))));
        }
    }
    if (state.unrecorded.length > 0) {
        parts.push(texts.room.stateUnrecorded(listed(state.unrecorded.map(name))));
    }
    return { text: parts.join(" "), isRecording };
}
