import { css, html } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Recording, Segment } from "../api/types";
import { PageElement } from "../look/element";
import { hue } from "../look/icon";
import { variable } from "../look/variable";
import { length, texts } from "../text";
import { drawBars } from "./wave";

/** A speaker with its track. */
export interface Lane {
    id: string;
    name: string;
    /** Of each microphone that they had, and each codec. */
    tracks: readonly Recording[];
    /** By itself. */
    canHear: boolean;
    isHeard: boolean;
    /** How loud the track is along its time; empty where nobody knows. */
    bars: readonly number[];
}

/** Who speaks when, what is missing and why, and who is heard. Tells `hear` with a lane's id. */
@customElement("hansard-lanes")
export class Lanes extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: block;
            }
            [role="group"] {
                display: grid;
                gap: 0.35rem;
            }
            .lane {
                display: grid;
                grid-template-columns: var(--names, 9rem) minmax(0, 1fr);
                gap: 0.6rem;
                align-items: center;
            }
            label {
                display: flex;
                align-items: center;
                gap: 0.5rem;
                min-width: 0;
                cursor: pointer;
            }
            label span {
                overflow: hidden;
                text-overflow: ellipsis;
                white-space: nowrap;
            }
            .bar {
                position: relative;
                height: 1.6rem;
                border-radius: 0.45rem;
                background: var(--ground);
                /* Not a border: spans are measured from where the waveform begins. */
                box-shadow: 0 0 0 1px var(--line);
                overflow: hidden;
            }
            .bar > * {
                position: absolute;
                top: 0;
                bottom: 0;
                left: var(--from);
                width: max(2px, var(--width));
            }
            .said {
                background: hsl(var(--hue) 60% 45%);
            }
            canvas {
                height: 100%;
                color: hsl(var(--hue) 60% 45%);
            }
            .gap {
                background: repeating-linear-gradient(45deg, var(--edge) 0 2px, transparent 2px 6px);
            }
            @media (max-width: 40rem) {
                .lane {
                    grid-template-columns: minmax(0, 1fr);
                    gap: 0.1rem;
                }
            }
        `,
    ];

    @property({ attribute: false }) lanes: Lane[] = [];
    @property({ attribute: false }) segments: Segment[] = [];
    @property({ type: Number }) startMs = 0;
    @property({ type: Number }) durationMs = 1;

    override render() {
        return html`<div role="group" aria-label=${texts.player.speakers}>
            ${this.lanes.map((lane) => this.lane(lane))}
        </div>`;
    }

    override updated(): void {
        for (const { id, bars } of this.lanes) {
            const canvas = this.renderRoot.querySelector<HTMLCanvasElement>(`canvas[data-id="${id}"]`);
            if (canvas !== null) {
                const { color } = getComputedStyle(canvas);
                drawBars(canvas, bars, () => color);
            }
        }
    }

    private lane({ id, name, tracks, canHear, isHeard, bars }: Lane) {
        const [track] = tracks;
        const said = this.segments.filter((segment) => segment.participant.id === id);
        return html`
            <div class="lane">
                <label>
                    <input
                        type="checkbox"
                        .checked=${isHeard}
                        ?disabled=${!canHear}
                        @change=${() => this.tell("hear", id)}
                    />
                    <span>${name}</span>
                </label>
                <div class="bar" ${variable("--hue", hue(id))}>
                    ${track !== undefined && bars.length > 0
                        ? this.loudness(id, track)
                        : said.map(({ startMs, endMs }) => this.span("said", startMs, endMs, ""))}
                    ${(track?.gaps ?? []).map(({ startMs, endMs, reason }) =>
                        this.span(
                            "gap",
                            startMs,
                            endMs,
                            `${length(startMs)}–${length(endMs)} ${texts.player.gap(texts.player.gaps[reason] ?? reason)}`,
                        ),
                    )}
                </div>
            </div>
        `;
    }

    private loudness(id: string, { startMs, durationMs }: Recording) {
        return html`<canvas
            data-id=${id}
            role="img"
            aria-label=${texts.player.speaks}
            ${variable("--from", this.percent(startMs - this.startMs))}
            ${variable("--width", this.percent(durationMs ?? 0))}
        ></canvas>`;
    }

    private span(kind: string, startMs: number, endMs: number, title: string) {
        return html`<div
            class=${kind}
            title=${title}
            ${variable("--from", this.percent(startMs - this.startMs))}
            ${variable("--width", this.percent(endMs - startMs))}
        ></div>`;
    }

    private percent(ms: number): string {
        return `${Math.min(100, Math.max(0, (100 * ms) / this.durationMs)).toFixed(3)}%`;
    }
}
