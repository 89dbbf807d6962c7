import { css, html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Participant } from "../api/types";
import { PageElement } from "../look/element";
import { hue, icons, initials } from "../look/icon";
import { variable } from "../look/variable";
import { texts } from "../text";

/** One participant: picture or initials, name, and what is kept. */
@customElement("hansard-tile")
export class Tile extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: block;
                min-width: 0;
            }
            .tile {
                position: relative;
                aspect-ratio: 16 / 10;
                border-radius: var(--radius);
                background: var(--card);
                border: 1px solid var(--line);
                overflow: hidden;
                display: grid;
                place-items: center;
                /* Names and marks stand below the picture of who shows none. */
                padding-bottom: 2.4rem;
            }
            .tile.speaks {
                border-color: var(--accent);
                box-shadow: 0 0 0 2px var(--accent);
            }
            .round {
                width: 3.8rem;
                height: 3.8rem;
                border-radius: 50%;
                display: grid;
                place-items: center;
                font-size: 1.3rem;
                font-weight: 650;
                background: hsl(var(--hue) 55% 88%);
                color: hsl(var(--hue) 60% 25%);
            }
            video {
                position: absolute;
                inset: 0;
                width: 100%;
                height: 100%;
                object-fit: cover;
                background: #000;
            }
            video.whole {
                object-fit: contain;
            }
            .foot {
                position: absolute;
                inset: auto 0.5rem 0.5rem;
                display: flex;
                align-items: center;
                gap: 0.4rem;
                flex-wrap: wrap;
            }
            .name,
            .mark {
                display: inline-flex;
                align-items: center;
                gap: 0.3rem;
                border-radius: 0.45rem;
                padding: 0.1rem 0.5rem;
                background: rgb(20 24 29 / 0.82);
                color: #fff;
                font-size: 0.9rem;
                max-width: 100%;
            }
            .name span {
                overflow: hidden;
                text-overflow: ellipsis;
                white-space: nowrap;
            }
            .mark.kept {
                background: #7c1d17;
            }
            .mark svg,
            .name svg {
                width: 1rem;
                height: 1rem;
            }
            button {
                position: absolute;
                top: 0.5rem;
                inset-inline-end: 0.5rem;
                min-height: 2rem;
                padding: 0.1rem 0.6rem;
                font-size: 0.85rem;
            }
            @media (max-width: 46rem) {
                .tile {
                    aspect-ratio: 1;
                    place-items: start center;
                    padding-top: 0.9rem;
                }
                .round {
                    width: 3.2rem;
                    height: 3.2rem;
                    font-size: 1.1rem;
                }
                .name,
                .mark {
                    font-size: 0.8rem;
                }
            }
            @media (prefers-color-scheme: dark) {
                .round {
                    background: hsl(var(--hue) 35% 28%);
                    color: hsl(var(--hue) 70% 85%);
                }
            }
        `,
    ];

    @property({ attribute: false }) person!: Participant;
    @property({ attribute: false }) video: MediaStreamTrack | null = null;
    @property({ type: Boolean }) screen = false;
    @property({ type: Boolean }) own = false;
    @property({ type: Boolean }) speaks = false;
    @property({ type: Boolean }) muted = false;
    /** The network is too slow for this picture. */
    @property({ type: Boolean }) paused = false;
    /** What the meeting keeps at all. */
    @property({ type: Boolean }) records = false;
    @property({ type: Boolean }) transcribes = false;
    @property({ type: Boolean }) removable = false;

    override render() {
        const { displayName, id } = this.person;
        const name = this.screen
            ? texts.room.screenOf(displayName)
            : this.own
              ? texts.room.you(displayName)
              : displayName;
        return html`
            <div class="tile ${this.speaks ? "speaks" : ""}">
                ${this.video === null || this.paused
                    ? html`<div class="round" aria-hidden="true" ${variable("--hue", hue(id))}>
                          ${initials(displayName)}
                      </div>`
                    : html`<video
                          class=${this.screen ? "whole" : ""}
                          autoplay
                          playsinline
                          .muted=${true}
                          .srcObject=${stream(this.video)}
                          aria-label=${name}
                      ></video>`}
                <div class="foot">
                    <span class="name">
                        ${this.muted ? icons.muted : nothing}
                        <span>${name}</span>
                        ${this.muted ? html`<span class="unseen">, ${texts.room.mutedState}</span>` : nothing}
                        ${this.speaks ? html`<span class="unseen">, ${texts.room.speaks}</span>` : nothing}
                    </span>
                    ${this.paused ? html`<span class="mark">${texts.room.paused}</span>` : nothing}
                    ${this.screen ? nothing : this.kept()}
                </div>
                ${this.removable
                    ? html`<button
                          aria-label=${texts.room.remove(displayName)}
                          title=${texts.room.remove(displayName)}
                          @click=${() => this.tell("remove", id)}
                      >
                          ✕
                      </button>`
                    : nothing}
            </div>
        `;
    }

    private kept() {
        const { recording, transcription } = this.person.consent;
        const { room } = texts;
        const [isRecorded, isTranscribed] = [recording === "accepted", transcription === "accepted"];
        // Where there is only one answer, one mark says it.
        if (this.records && this.transcribes && isRecorded === isTranscribed) {
            return this.mark(isRecorded, room.kept, room.notKept);
        }
        return [
            this.records ? this.mark(isRecorded, room.recorded, room.notRecorded) : nothing,
            this.transcribes ? this.mark(isTranscribed, room.transcribed, room.notTranscribed) : nothing,
        ];
    }

    private mark(kept: boolean, yes: string, no: string) {
        return html`<span class="mark ${kept ? "kept" : ""}">${kept ? icons.dot : nothing}${kept ? yes : no}</span>`;
    }
}

const streams = new WeakMap<MediaStreamTrack, MediaStream>();

/** The same stream for the same track, so that a new drawing does not start it anew. */
function stream(track: MediaStreamTrack): MediaStream {
    const known = streams.get(track) ?? new MediaStream([track]);
    streams.set(track, known);
    return known;
}
