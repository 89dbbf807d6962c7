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

/**
 * Plays a mix, or some of its tracks in its place. The mix is always what runs; where only some are
 * to be heard it is silent, and their tracks run along.
 */
export class Playback {
    private readonly tracks = new Map<string, { recording: Recording; element: HTMLAudioElement }>();
    private readonly loading = new Set<string>();
    private heard: Set<string> | null = null;
    private renewed = 0;

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
        element.addEventListener("error", this.renew);
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
                const element = new Audio(await linkTo(this.rest, recording));
                this.loading.delete(recording.id);
                element.preload = "auto";
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

    /** The link ran out while it was paused: another one, at the same place. */
    private readonly renew = async (): Promise<void> => {
        const now = performance.now();
        if (now - this.renewed < 30_000) {
            return;
        }
        this.renewed = now;
        const [at, wasPlaying] = [this.element.currentTime, !this.element.paused];
        await this.load();
        this.element.currentTime = at;
        if (wasPlaying) {
            await this.element.play().catch(() => undefined);
        }
    };
}
