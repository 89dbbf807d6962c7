import { css, html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Rest } from "../api/rest";
import type { Gap, Participant, Recording, Transcript } from "../api/types";
import { PageElement } from "../look/element";
import { icons } from "../look/icon";
import { length, texts } from "../text";
import "./lanes";
import type { Lane } from "./lanes";
import { Playback } from "./playback";
import "./transcript-view";
import type { TranscriptView } from "./transcript-view";
import { draw, loudness } from "./wave";

const SPEEDS = [0.75, 1, 1.25, 1.5, 2];
const STEP_S = 10;

/** A recording with its transcript: sound, waveform, who speaks, and the words beside it. */
@customElement("hansard-player-view")
export class PlayerView extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            .player {
                display: grid;
                gap: 0.9rem;
                --names: 9rem;
            }
            /* The waveform is above the bars of the speakers, of which each instant is below its own. */
            .along {
                display: grid;
                grid-template-columns: var(--names) minmax(0, 1fr);
                gap: 0.6rem;
                align-items: center;
            }
            video {
                width: 100%;
                height: 4.5rem;
                background: #101418;
                border-radius: 0.6rem;
            }
            /* Else as small as the picture is low. */
            video::cue {
                font: 1rem/1.4 system-ui, sans-serif;
            }
            .wave {
                position: relative;
                height: 5rem;
            }
            canvas {
                width: 100%;
                height: 100%;
                display: block;
            }
            .wave input {
                position: absolute;
                inset: 0;
                width: 100%;
                height: 100%;
                margin: 0;
                opacity: 0;
                cursor: pointer;
            }
            .wave:has(:focus-visible) {
                outline: 3px solid var(--accent);
                outline-offset: 2px;
                border-radius: 0.3rem;
            }
            .time {
                font-variant-numeric: tabular-nums;
                margin-inline-end: auto;
            }
            .player > .row > label {
                display: flex;
                align-items: center;
                gap: 0.4rem;
            }
            @media (max-width: 40rem) {
                .along {
                    grid-template-columns: minmax(0, 1fr);
                }
            }
        `,
    ];

    @property({ attribute: false }) rest!: Rest;
    @property() meetingId = "";
    @property({ attribute: false }) mix: Recording | null = null;
    @property({ attribute: false }) tracks: Recording[] = [];
    @property({ attribute: false }) people: Participant[] = [];
    @property({ attribute: false }) transcript!: Transcript;
    /** Whether the transcript's files can be opened here: their links carry no token. */
    @property({ attribute: false }) links = true;
    @state() private playing = false;
    @state() private nowS = 0;
    @state() private bars: number[] = [];
    /** The same of each track. */
    @state() private ofTracks = new Map<string, number[]>();
    @state() private off = new Set<string>();
    @state() private captions = "";
    @state() private fault = "";
    private playback: Playback | null = null;
    /** What was loaded. */
    private file = "";
    private frame = 0;
    private stopped = new AbortController();

    private get isArchived(): boolean {
        return this.mix?.storageTier === "archive" && this.mix.restore.state !== "restored";
    }

    private get durationMs(): number {
        return this.mix?.durationMs ?? 1;
    }

    override disconnectedCallback(): void {
        super.disconnectedCallback();
        cancelAnimationFrame(this.frame);
        this.stopped.abort();
        this.playback?.close();
        this.playback = null;
        URL.revokeObjectURL(this.captions);
    }

    override render() {
        const at = `${this.rest.root}/v1/meetings/${this.meetingId}/transcript`;
        return html`
            <section class="card player">
                ${this.mix === null
                    ? html`<p class="quiet">${texts.player.notReady}</p>`
                    : this.isArchived
                      ? this.archived()
                      : this.sound()}
                <h2>${texts.player.transcript}</h2>
                ${this.transcript.complete
                    ? nothing
                    : html`<p class="small quiet" role="status">${texts.player.transcriptIncomplete}</p>`}
                <hansard-transcript-view
                    .segments=${this.transcript.segments}
                    .gaps=${this.gaps()}
                    .nameOf=${(id: string) => this.nameOf(id)}
                    @seek=${(event: CustomEvent<number>) => this.jump(event.detail)}
                ></hansard-transcript-view>
                <p class="small quiet" ?hidden=${!this.links}>
                    ${texts.player.texts}
                    ${(["txt", "vtt", "srt", "json"] as const).map(
                        (kind, n) => html`${n > 0 ? " · " : ""}<a href=${`${at}.${kind}`}>${kind.toUpperCase()}</a>`,
                    )}
                </p>
            </section>
        `;
    }

    override updated(changed: PropertyValues<this>): void {
        // A file that was made anew or restored is another to play.
        const file = this.mix === null ? "" : `${this.mix.id} ${this.mix.sha256} ${this.isArchived}`;
        if (changed.has("mix") && file !== this.file) {
            this.file = file;
            void this.load();
        }
        this.paint();
    }

    /** It can be seen when who spoke, and read what was said. */
    private archived() {
        return html`
            <p class="note">${texts.player.archived}</p>
            <div class="along">
                <span class="quiet">${length(this.durationMs)}</span>
                <div class="wave">${this.wave()}</div>
            </div>
            ${this.voices()}
        `;
    }

    private wave() {
        return html`<canvas role="img" aria-label=${texts.player.wave}></canvas>`;
    }

    private voices() {
        return html`<hansard-lanes
            .lanes=${this.lanes()}
            .segments=${this.transcript.segments}
            .startMs=${this.mix?.startMs ?? 0}
            .durationMs=${this.durationMs}
            @hear=${(event: CustomEvent<string>) => this.hear(event.detail)}
        ></hansard-lanes>`;
    }

    private sound() {
        const now = length(this.nowS * 1000);
        const all = length(this.durationMs);
        return html`
            <video
                preload="metadata"
                @play=${() => this.started()}
                @pause=${() => (this.playing = false)}
                @seeked=${() => this.tick()}
                @timeupdate=${() => this.tick()}
            >
                ${this.captions === ""
                    ? nothing
                    : html`<track
                          kind="captions"
                          default
                          srclang=${this.transcript.language ?? "und"}
                          label=${texts.captions.title}
                          src=${this.captions}
                      />`}
            </video>
            <div class="along">
                <button id="play" class="primary" @click=${this.toggle}>
                    ${this.playing ? icons.pause : icons.play}${this.playing ? texts.player.pause : texts.player.play}
                </button>
                <div class="wave">
                    ${this.wave()}
                    <input
                        type="range"
                        min="0"
                        max=${Math.ceil(this.durationMs / 1000)}
                        step="1"
                        .value=${String(Math.floor(this.nowS))}
                        aria-label=${texts.player.seek}
                        aria-valuetext=${texts.player.at(now, all)}
                        @input=${(event: Event) => this.seekS(Number((event.target as HTMLInputElement).value))}
                    />
                </div>
            </div>
            <div class="row">
                <button aria-label=${texts.player.back} @click=${() => this.seekS(this.nowS - STEP_S)}>
                    ${icons.back}10
                </button>
                <button aria-label=${texts.player.forward} @click=${() => this.seekS(this.nowS + STEP_S)}>
                    ${icons.forward}10
                </button>
                <span class="time">${texts.player.at(now, all)}</span>
                <label>
                    ${texts.player.speed}
                    <select @change=${(event: Event) => this.rate(Number((event.target as HTMLSelectElement).value))}>
                        ${SPEEDS.map((speed) => html`<option value=${speed} ?selected=${speed === 1}>${speed}×</option>`)}
                    </select>
                </label>
            </div>
            ${this.voices()}
            ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
        `;
    }

    private get video(): HTMLVideoElement | null {
        return this.renderRoot.querySelector("video");
    }

    private lanes(): Lane[] {
        const ids = new Set([
            ...this.tracks.map(({ participantId }) => participantId ?? ""),
            ...this.transcript.segments.map(({ participant }) => participant.id),
        ]);
        return [...ids].map((id) => {
            const tracks = this.tracks.filter((track) => track.participantId === id && track.status === "ready");
            return {
                id,
                name: this.nameOf(id),
                tracks,
                canHear: !this.isArchived && tracks.length > 0,
                isHeard: !this.off.has(id),
                bars: this.ofTracks.get(tracks[0]?.id ?? "") ?? [],
            };
        });
    }

    private nameOf(id: string): string {
        return this.people.find((person) => person.id === id)?.displayName ?? "?";
    }

    private gaps(): Gap[] {
        return [...(this.mix?.gaps ?? []), ...this.transcript.gaps];
    }

    private async load(): Promise<void> {
        this.playback?.close();
        this.playback = null;
        const { mix, video } = this;
        this.bars = [];
        if (mix === null) {
            return;
        }
        // Neither does playing depend on it, nor it on what can be played.
        void loudness(this.rest, mix.id, this.stopped.signal)
            .then((bars) => (this.bars = bars))
            .catch(() => undefined);
        void this.measureTracks();
        if (video === null) {
            return;
        }
        this.playback = new Playback(this.rest, mix, video);
        video.addEventListener("error", () => {
            this.fault = texts.player.cannotPlay;
        });
        video.addEventListener("loadedmetadata", () => {
            this.fault = "";
        });
        try {
            const [captions] = await Promise.all([
                this.rest.text(`/v1/meetings/${this.meetingId}/transcript.vtt`),
                this.playback.load(),
            ]);
            URL.revokeObjectURL(this.captions);
            this.captions = URL.createObjectURL(new Blob([captions], { type: "text/vtt" }));
        } catch (error) {
            this.fault = error instanceof Error ? error.message : String(error);
        }
    }

    /** One after the other: there may be many. */
    private async measureTracks(): Promise<void> {
        const { file } = this;
        this.ofTracks = new Map();
        for (const { id, status } of this.tracks) {
            if (status !== "ready") {
                continue;
            }
            const bars = await loudness(this.rest, id, this.stopped.signal).catch(() => []);
            if (file !== this.file) {
                return;
            }
            this.ofTracks = new Map(this.ofTracks).set(id, bars);
        }
    }

    private readonly toggle = () => {
        const { video } = this;
        if (video?.paused === true) {
            void video.play().catch(() => undefined);
        } else {
            video?.pause();
        }
    };

    private rate(speed: number): void {
        if (this.video !== null) {
            this.video.playbackRate = speed;
        }
    }

    private seekS(seconds: number): void {
        this.playback?.seek((this.mix?.startMs ?? 0) + seconds * 1000);
        this.tick();
    }

    private jump(ms: number): void {
        this.playback?.seek(ms);
        this.tick();
        this.renderRoot.querySelector<TranscriptView>("hansard-transcript-view")?.mark(ms);
    }

    private hear(id: string): void {
        const off = new Set(this.off);
        if (!off.delete(id)) {
            off.add(id);
        }
        this.off = off;
        const heard = this.lanes()
            .filter((lane) => lane.isHeard)
            .flatMap((lane) => lane.tracks);
        this.playback?.hear(off.size === 0 ? null : heard).catch((error: unknown) => {
            this.fault = error instanceof Error ? error.message : String(error);
        });
    }

    private started(): void {
        this.playing = true;
        cancelAnimationFrame(this.frame);
        const step = () => {
            this.tick();
            if (this.playing) {
                this.frame = requestAnimationFrame(step);
            }
        };
        this.frame = requestAnimationFrame(step);
    }

    private tick(): void {
        const { playback, video } = this;
        if (playback === null || video === null) {
            return;
        }
        if (Math.floor(video.currentTime) !== Math.floor(this.nowS)) {
            this.nowS = video.currentTime;
        }
        this.paint();
        this.renderRoot.querySelector<TranscriptView>("hansard-transcript-view")?.mark(playback.nowMs);
    }

    private paint(): void {
        const canvas = this.renderRoot.querySelector("canvas");
        if (canvas !== null) {
            const played = ((this.video?.currentTime ?? 0) * 1000) / this.durationMs;
            // Until it is known how loud it is, a flat line.
            draw(canvas, this.bars.length > 0 ? this.bars : new Array<number>(300).fill(0.04), played);
        }
    }
}
