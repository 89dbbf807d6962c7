import { css, html } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Recording, Segment } from "../api/types";
import { PageElement } from "../look/element";
import { hue } from "../look/icon";
import { variable } from "../look/variable";
import { length, texts } from "../text";

/** A speaker with its track. */
export interface Lane {
    id: string;
    name: string;
    track: Recording | null;
    /** By itself. */
    canHear: boolean;
    isHeard: boolean;
}

/** Who speaks when, what is missing and why, and who is heard. Tells `hear` with a lane's id. */
@customElement("hansard-lanes")
export class Lanes extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: grid;
                gap: 0.35rem;
            }
            .lane {
                display: grid;
                grid-template-columns: 9rem minmax(0, 1fr);
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
                height: 0.9rem;
                border-radius: 0.45rem;
                background: var(--ground);
                border: 1px solid var(--line);
                overflow: hidden;
            }
            .bar div {
                position: absolute;
                top: 0;
                bottom: 0;
                left: var(--from);
                width: max(2px, var(--width));
            }
            .said {
                background: hsl(var(--hue) 60% 45%);
            }
            .gap {
                background: repeating-linear-gradient(45deg, var(--edge) 0 2px, transparent 2px 6px);
            }
            @media (max-width: 40rem) {
                .lane {
                    grid-template-columns: 6.5rem minmax(0, 1fr);
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

    private lane({ id, name, track, canHear, isHeard }: Lane) {
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
                    ${said.map(({ startMs, endMs }) => this.span("said", startMs, endMs, ""))}
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

    private span(kind: string, startMs: number, endMs: number, title: string) {
        const percent = (ms: number) => `${Math.min(100, Math.max(0, (100 * ms) / this.durationMs)).toFixed(3)}%`;
        return html`<div
            class=${kind}
            title=${title}
            ${variable("--from", percent(startMs - this.startMs))}
            ${variable("--width", percent(endMs - startMs))}
        ></div>`;
    }
}
