import type { Rest } from "../api/rest";
import type { Recording } from "../api/types";

/** Tracks that run apart from the mix by more than this are set right. */
const APART_S = 0.12;

/** Where a recording's file is; good for five minutes. */
export async function linkTo(rest: Rest, recording: Recording): Promise<string> {
    const path = `/v1/recordings/${recording.id}/content?redirect=false`;
    const { url } = await rest.get<{ url: string }>(path);
    return url;
}

/** The shortest time between two links of a file: one that cannot be played is not asked for again and again. */
const RENEWED_EVERY_MS = 30_000;

/** Gives an element another link when the one that it has ran out while it was paused, at the same place. */
function renews(element: HTMLMediaElement, link: () => Promise<string>): () => Promise<void> {
    let renewed = performance.now();
    return async () => {
        const now = performance.now();
        if (now - renewed < RENEWED_EVERY_MS) {
            return;
        }
        renewed = now;
        const [at, wasPlaying] = [element.currentTime, !element.paused];
        // A new file is played at the default rate.
        element.defaultPlaybackRate = element.playbackRate;
        element.src = await link();
        element.currentTime = at;
        if (wasPlaying) {
            await element.play().catch(() => undefined);
        }
    };
}

/**
 * Plays a mix, or some of its tracks in its place. The mix is always what runs; where only some are
 * to be heard it is silent, and their tracks run along.
 */
export class Playback {
    private readonly tracks = new Map<string, { recording: Recording; element: HTMLAudioElement }>();
    private readonly loading = new Set<string>();
    private heard: Set<string> | null = null;

    constructor(
        private readonly rest: Rest,
        private readonly mix: Recording,
        private readonly element: HTMLMediaElement,
    ) {
        element.addEventListener("play", this.follow);
        element.addEventListener("pause", this.follow);
        element.addEventListener("seeked", this.follow);
        element.addEventListener("timeupdate", this.follow);
        element.addEventListener("ratechange", this.follow);
        element.addEventListener("error", renews(element, () => linkTo(rest, mix)));
    }

    /** Of the meeting. */
    get nowMs(): number {
        return this.mix.startMs + this.element.currentTime * 1000;
    }

    async load(): Promise<string> {
        const url = await linkTo(this.rest, this.mix);
        this.element.src = url;
        return url;
    }

    seek(meetingMs: number): void {
        const seconds = (meetingMs - this.mix.startMs) / 1000;
        const end = Number.isFinite(this.element.duration) ? this.element.duration : seconds;
        this.element.currentTime = Math.min(Math.max(0, seconds), end);
    }

    /** Only these tracks; null: the mix of all. */
    async hear(tracks: Recording[] | null): Promise<void> {
        this.heard = tracks === null ? null : new Set(tracks.map(({ id }) => id));
        for (const recording of tracks ?? []) {
            if (!this.tracks.has(recording.id) && !this.loading.has(recording.id)) {
                this.loading.add(recording.id);
                const link = () => linkTo(this.rest, recording);
                const element = new Audio(await link().finally(() => this.loading.delete(recording.id)));
                element.preload = "auto";
                element.addEventListener("error", renews(element, link));
                this.tracks.set(recording.id, { recording, element });
            }
        }
        this.element.muted = this.heard !== null;
        this.follow();
    }

    close(): void {
        for (const { element } of this.tracks.values()) {
            element.pause();
            element.removeAttribute("src");
        }
        this.tracks.clear();
        this.element.pause();
    }

    private readonly follow = (): void => {
        const now = this.nowMs;
        for (const [id, { recording, element }] of this.tracks) {
            const at = (now - recording.startMs) / 1000;
            const isInside = at >= 0 && at * 1000 < (recording.durationMs ?? Infinity);
            const plays = this.heard?.has(id) === true && isInside && !this.element.paused;
            element.playbackRate = this.element.playbackRate;
            if (plays && Math.abs(element.currentTime - at) > APART_S) {
                element.currentTime = at;
            }
            if (plays && element.paused) {
                void element.play().catch(() => undefined);
            } else if (!plays && !element.paused) {
                element.pause();
            }
        }
    };
}
