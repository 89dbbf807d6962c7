import { css, html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Gap, Segment } from "../api/types";
import { PageElement } from "../look/element";
import { hue } from "../look/icon";
import { variable } from "../look/variable";
import { length, texts } from "../text";
import { lastBefore, pieces, search, type Hit, type Piece } from "./words";

type Line = { at: number; segment: Segment } | { at: number; gap: Gap };

/** A transcript beside its sound. Tells `seek` with milliseconds since the meeting's start. */
@customElement("hansard-transcript-view")
export class TranscriptView extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: grid;
                gap: 0.7rem;
                min-height: 0;
            }
            .find input {
                flex: 1 1 12rem;
            }
            .text {
                max-height: 28rem;
                overflow-y: auto;
                padding: 0.2rem;
                position: relative;
            }
            article {
                display: grid;
                grid-template-columns: 4.2rem minmax(0, 1fr);
                gap: 0 0.6rem;
                padding: 0.3rem 0;
            }
            article button {
                min-height: 1.6rem;
                padding: 0 0.3rem;
                border: 0;
                background: none;
                color: var(--accent);
                font-variant-numeric: tabular-nums;
                font-size: 0.9rem;
                justify-content: flex-start;
                align-self: start;
            }
            .who {
                font-weight: 650;
                color: hsl(var(--hue) 70% 30%);
                display: block;
                font-size: 0.9rem;
            }
            [data-ms] {
                cursor: pointer;
                border-radius: 0.2rem;
                padding: 0.05em 0;
            }
            [data-ms]:hover {
                text-decoration: underline;
            }
            .hit {
                background: #ffe08a;
                color: #1b1f24;
            }
            .hit.here {
                outline: 2px solid var(--accent);
            }
            .spoken {
                background: var(--accent);
                color: var(--accent-text);
            }
            .gap {
                color: var(--quiet);
                font-size: 0.9rem;
                font-style: italic;
            }
            .translation {
                display: block;
                color: var(--quiet);
                font-style: italic;
            }
            @media (max-width: 40rem) {
                .find input {
                    flex-basis: 100%;
                }
                article {
                    grid-template-columns: 3.2rem minmax(0, 1fr);
                }
            }
            @media (prefers-color-scheme: dark) {
                .who {
                    color: hsl(var(--hue) 80% 78%);
                }
            }
        `,
    ];

    @property({ attribute: false }) segments: Segment[] = [];
    @property({ attribute: false }) gaps: Gap[] = [];
    @property({ attribute: false }) nameOf: (id: string) => string = () => "";
    @state() private hits: Hit[] = [];
    @state() private hit = 0;
    @state() private follows = true;
    private starts: number[] = [];
    private words: HTMLElement[] = [];
    private spoken: HTMLElement | null = null;

    override render() {
        return html`
            <div class="row find">
                <input
                    type="search"
                    aria-label=${texts.player.search}
                    placeholder=${texts.player.search}
                    @input=${(event: Event) => this.find((event.target as HTMLInputElement).value)}
                    @keydown=${(event: KeyboardEvent) => event.key === "Enter" && this.go(event.shiftKey ? -1 : 1)}
                />
                <span role="status" class="small quiet">
                    ${this.hits.length === 0 ? nothing : texts.player.hits(this.hits.length)}
                </span>
                <button aria-label=${texts.player.previous} ?disabled=${this.hits.length === 0} @click=${() => this.go(-1)}>
                    ↑
                </button>
                <button aria-label=${texts.player.next} ?disabled=${this.hits.length === 0} @click=${() => this.go(1)}>
                    ↓
                </button>
                <button aria-pressed=${this.follows} @click=${() => (this.follows = !this.follows)}>
                    ${texts.player.follow}
                </button>
            </div>
            <div class="text" tabindex="0" role="region" aria-label=${texts.player.transcript} @click=${this.clicked}>
                ${this.segments.length === 0 ? html`<p class="quiet">${texts.player.transcriptNone}</p>` : nothing}
                ${repeat(
                    this.lines(),
                    (line, n) => ("segment" in line ? line.segment.segmentId : `${line.at} ${line.gap.reason} ${n}`),
                    (line) => ("segment" in line ? this.segment(line.segment) : this.gap(line.gap)),
                )}
            </div>
        `;
    }

    override updated(changed: PropertyValues<this>): void {
        if (changed.has("segments") || changed.has("gaps")) {
            this.words = [...this.renderRoot.querySelectorAll<HTMLElement>("[data-ms]")].sort(
                (a, b) => Number(a.dataset["ms"]) - Number(b.dataset["ms"]),
            );
            this.starts = this.words.map((word) => Number(word.dataset["ms"]));
        }
    }

    /** Marks the word that is spoken then; null: none. */
    mark(ms: number | null): void {
        const at = ms === null ? -1 : lastBefore(this.starts, ms);
        const candidate = at < 0 ? null : (this.words[at] as HTMLElement);
        // Some silence behind a word is still the word.
        const word = candidate !== null && ms !== null && ms < Number(candidate.dataset["end"]) + 400 ? candidate : null;
        if (word === this.spoken) {
            return;
        }
        this.spoken?.classList.remove("spoken");
        word?.classList.add("spoken");
        this.spoken = word;
        if (word !== null && this.follows) {
            this.bring(word);
        }
    }

    private lines(): Line[] {
        const lines: Line[] = [
            ...this.segments.filter(({ text }) => text !== "").map((segment) => ({ at: segment.startMs, segment })),
            ...this.gaps.map((gap) => ({ at: gap.startMs, gap })),
        ];
        return lines.sort((a, b) => a.at - b.at);
    }

    private segment(segment: Segment) {
        const { id, displayName } = segment.participant;
        return html`
            <article>
                <button data-seek=${segment.startMs}>${length(segment.startMs)}</button>
                <p lang=${segment.language ?? nothing}>
                    <span class="who" ${variable("--hue", hue(id))}>${displayName ?? this.nameOf(id)}</span
                    >${pieces(segment).map((piece) => this.piece(segment, piece))}${segment.translation
                        ? html`<span class="translation" lang=${segment.translation.language}
                              >${segment.translation.text}</span
                          >`
                        : nothing}
                </p>
            </article>
        `;
    }

    private piece({ segmentId }: Segment, { text, startMs, endMs, at }: Piece) {
        const here = this.hits[this.hit];
        const covers = (hit: Hit) => hit.segmentId === segmentId && hit.from < at + text.length && hit.to > at;
        const marks = this.hits.some(covers) ? `hit${here !== undefined && covers(here) ? " here" : ""}` : "";
        // Not by `class`: whoever marks the spoken word writes there.
        return startMs === null
            ? text
            : html`<span data-ms=${startMs} data-end=${endMs ?? startMs}
                  ><span class=${marks}>${text}</span></span
              >`;
    }

    private gap({ startMs, endMs, reason, participantId }: Gap) {
        const name = participantId === undefined ? "" : `${this.nameOf(participantId)}: `;
        return html`<p class="gap">
            ${length(startMs)}–${length(endMs)} ${name}${texts.player.gap(texts.player.gaps[reason] ?? reason)}
        </p>`;
    }

    private find(what: string): void {
        this.hits = search(this.segments, what);
        this.hit = 0;
        void this.updateComplete.then(() => this.show());
    }

    private go(by: number): void {
        const n = this.hits.length;
        if (n > 0) {
            this.hit = (this.hit + by + n) % n;
            this.tell("seek", this.hits[this.hit]?.startMs);
            void this.updateComplete.then(() => this.show());
        }
    }

    private show(): void {
        const found = this.renderRoot.querySelector<HTMLElement>(".here");
        if (found !== null) {
            this.bring(found);
        }
    }

    /** Into the middle of the text, without moving the page. */
    private bring(word: HTMLElement): void {
        const text = this.renderRoot.querySelector<HTMLElement>(".text");
        if (text !== null) {
            const place = word.getBoundingClientRect().top - text.getBoundingClientRect().top;
            if (place < text.clientHeight * 0.15 || place > text.clientHeight * 0.8) {
                text.scrollTop += place - text.clientHeight / 3;
            }
        }
    }

    private clicked(event: Event): void {
        const from = event.target as HTMLElement;
        const ms = from.closest<HTMLElement>("[data-ms]")?.dataset["ms"] ?? from.closest<HTMLElement>("[data-seek]")?.dataset["seek"];
        if (ms !== undefined) {
            this.tell("seek", Number(ms));
        }
    }
}
