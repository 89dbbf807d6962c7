/** What the REST API and signaling answer, as far as the pages read it. */

export type Purpose = "recording" | "transcription";
export type ConsentStatus = "accepted" | "declined" | "withdrawn";
export type ConsentType = Purpose | "recording_ai";
export type Source = "microphone" | "camera" | "screen";

export interface Invitation {
    meetingId: string;
    hostName: string;
    status: "scheduled" | "live" | "ended";
    scheduledTime: string | null;
    startTime: string | null;
    passwordRequired: boolean;
    recording: "off" | "audio" | "video";
    aiEnabled: boolean;
    consentPolicy: "exclude" | "all" | "required";
}

/** The answer of `join`. */
export interface Ticket {
    token: string;
    participantId: string;
    signalUrl: string;
    consentToken: string;
    iceServers: RTCIceServer[];
    consentRequired: Purpose[];
}

export interface Stream {
    streamId: string;
    kind: "audio" | "video";
    source: Source;
    state: "open" | "closed" | "asked";
    media: "waiting" | "receiving" | "stalled" | null;
    muted?: boolean;
}

export interface Participant {
    id: string;
    userId: string;
    displayName: string;
    role: "host" | "participant";
    joinedAt: string | null;
    leftAt: string | null;
    present: boolean;
    removed: "request" | "required" | null;
    consent: Record<Purpose, ConsentStatus | null>;
    consentSince: Record<Purpose, string | null>;
    streams: Stream[];
}

export interface RecordingState {
    state: "off" | "waiting" | "paused" | "recording" | "finalising" | "ready" | "failed";
    since: string | null;
    transcribing: boolean;
    transcribingSince: string | null;
    model: { name: string; bundled: boolean } | null;
    reason: string | null;
    waitingFor: string[];
    unrecorded: string[];
    epoch: number;
}

/** A picture that does not fit through the network of whoever is told. */
export interface PausedVideo {
    participantId: string;
    source: "camera" | "screen";
    reason: "bandwidth";
}

export interface ConsentUpdate {
    participantId: string;
    consentType: ConsentType;
    purposes: Purpose[];
    status: ConsentStatus;
    timestamp: string;
    entry?: number;
}

export interface Word {
    text: string;
    startMs: number;
    endMs: number;
    confidence: number;
}

/** The purposes that a meeting has. */
export function purposesOf({ recording, aiEnabled }: Pick<Invitation, "recording" | "aiEnabled">): Purpose[] {
    return [...(recording === "off" ? [] : ["recording" as const]), ...(aiEnabled ? ["transcription" as const] : [])];
}

export interface Segment {
    segmentId: string;
    revision: number;
    final: boolean;
    participant: { id: string; displayName: string | null };
    startMs: number;
    endMs: number;
    startAt: string | null;
    language: string | null;
    text: string;
    stableChars: number;
    words: Word[] | null;
    translation?: { language: string; text: string } | null;
}

/** Of an observer, what is a participant's is null. */
export interface Joined {
    participantId: string | null;
    participants: Participant[];
    consent: Record<Purpose, ConsentStatus | null> | null;
    recording: RecordingState;
    iceServers: RTCIceServer[];
    resumeToken: string | null;
    consentToken: string | null;
    seq: number;
}

/** An entry of the ConsentLog. */
export interface ConsentEntry {
    purposes: Purpose[];
    status: ConsentStatus;
    timestamp: string;
    entry: number;
}

export interface Meeting {
    id: string;
    hostId: string;
    status: "scheduled" | "live" | "ended";
    scheduledTime: string | null;
    startTime: string | null;
    endTime: string | null;
    createdAt: string;
    settings: { language: string | null };
}

export interface Gap {
    startMs: number;
    endMs: number;
    reason: string;
    participantId?: string;
}

export interface Recording {
    id: string;
    kind: "mix" | "track";
    participantId: string | null;
    source: Source | null;
    mediaType: string;
    startMs: number;
    durationMs: number | null;
    gaps: Gap[];
    storageTier: "hot" | "warm" | "cold" | "archive";
    restore: { state: "none" | "running" | "restored"; until: string | null };
    status: "recording" | "processing" | "ready" | "failed" | "deleting";
    progress: number | null;
    error: string | null;
    waitingFor: string | null;
    sizeBytes: number | null;
    sha256: string | null;
    expiresAt: string | null;
}

/** How loud a recording is along its time. */
export interface Peaks {
    peaks: number[] | null;
    /** Ask again in some seconds. */
    making: boolean;
}

export interface Transcript {
    meetingId: string;
    complete: boolean;
    language: string | null;
    segments: Segment[];
    gaps: Gap[];
}

export interface Page<T> {
    data: T[];
    nextCursor: string | null;
}
