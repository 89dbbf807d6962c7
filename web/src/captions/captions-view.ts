import { css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { keptCaptionLook, type CaptionLook } from "../api/kept";
import { PageElement } from "../look/element";
import { hue } from "../look/icon";
import { variable } from "../look/variable";
import { texts } from "../text";
import type { Caption, Captions } from "./captions";

const SIZES = [1, 1.25, 1.6, 2];

/**
 * Captions: what is being said in two calm lines, and what was said before.
 *
 * Screen readers hear finals only: what still changes would be read again and again.
 */
@customElement("hansard-captions-view")
export class CaptionsView extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: grid;
                grid-template-rows: auto minmax(4.5rem, 1fr) auto;
                min-height: 0;
                gap: 0.6rem;
                --said: 1rem;
            }
            .tools {
                display: flex;
                flex-wrap: wrap;
                gap: 0.4rem;
                align-items: center;
            }
            .tools h2 {
                margin-inline-end: auto;
            }
            .tools button {
                min-height: 2.1rem;
                padding: 0.15rem 0.6rem;
                font-size: 0.9rem;
            }
            .note {
                margin-top: 0.6rem;
                padding: 0.4rem 0.7rem;
            }
            .history {
                overflow-y: auto;
                font-size: var(--said);
                overflow-anchor: none;
            }
            .history:focus-visible {
                outline-offset: -3px;
            }
            .line {
                margin: 0 0 0.45em;
            }
            .who {
                font-weight: 650;
                color: hsl(var(--hue) 70% 30%);
                margin-inline-end: 0.35em;
            }
            .translation {
                display: block;
                color: var(--quiet);
                font-style: italic;
            }
            .now {
                border-radius: 0.6rem;
                background: var(--card);
                border: 1px solid var(--line);
                padding: 0.6rem 0.9rem;
                font-size: calc(var(--said) * 1.15);
                line-height: 1.4;
                display: flex;
                flex-direction: column-reverse;
                /* Two lines; what is longer shows its end. */
                height: calc(2.8em + 1.3rem);
                overflow: hidden;
            }
            .now p {
                flex: none;
            }
            .tail {
                opacity: 0.72;
            }
            .contrast .now,
            .contrast .history {
                background: #000;
                color: #fff;
                border-color: #000;
            }
            .contrast .history {
                padding: 0.6rem 0.9rem;
                border-radius: 0.6rem;
            }
            .contrast .tail {
                opacity: 1;
                color: #d6d6d6;
            }
            .contrast .who {
                color: hsl(var(--hue) 90% 78%);
            }
            .contrast .translation {
                color: #d6d6d6;
            }
            .frame {
                display: contents;
            }
            @media (max-width: 46rem) {
                .tools {
                    gap: 0.3rem;
                }
                .tools button {
                    padding-inline: 0.45rem;
                    font-size: 0.85rem;
                }
                .note {
                    font-size: 0.8rem;
                    padding: 0.2rem 0.5rem;
                }
            }
            @media (prefers-color-scheme: dark) {
                .who {
                    color: hsl(var(--hue) 80% 78%);
                }
            }
        `,
    ];

    @property({ attribute: false }) captions!: Captions;
    /** Changes whenever the captions did. */
    @property({ attribute: false }) turn = 0;
    /** The words come by the small model for demo and tests. */
    @property({ type: Boolean }) bundled = false;
    @state() private look: CaptionLook = keptCaptionLook.read();
    /** Whether the history shows its end, and stays there. */
    private follows = true;

    override render() {
        const { size, contrast, history } = this.look;
        this.style.setProperty("--said", `${size}rem`);
        const finals = this.captions.finals;
        return html`
            <div>
                <div class="tools">
                    <h2>${texts.captions.title}</h2>
                    <button @click=${() => this.resize(-1)}>
                        A−<span class="unseen"> ${texts.captions.smaller}</span>
                    </button>
                    <button @click=${() => this.resize(1)}>
                        A+<span class="unseen"> ${texts.captions.larger}</span>
                    </button>
                    <button aria-pressed=${contrast} @click=${() => this.change({ contrast: !contrast })}>
                        ${texts.captions.contrast}
                    </button>
                    <button aria-pressed=${this.look.latency} @click=${() => this.change({ latency: !this.look.latency })}>
                        ${texts.captions.latency}
                    </button>
                    <button aria-pressed=${history} @click=${() => this.change({ history: !history })}>
                        ${texts.captions.history}
                    </button>
                </div>
                ${this.bundled ? html`<p class="note warn small">${texts.captions.bundled}</p>` : nothing}
            </div>
            <div class="frame ${contrast ? "contrast" : ""}">
                <div
                    class="history ${history ? "" : "unseen"}"
                    role="log"
                    aria-label=${texts.captions.history}
                    tabindex=${history ? 0 : -1}
                    @scroll=${this.scrolled}
                >
                    ${finals.length === 0 ? html`<p class="quiet">${texts.captions.empty}</p>` : nothing}
                    ${repeat(
                        finals,
                        ({ id }) => id,
                        (caption) => html`<p class="line">${this.said(caption)}</p>`,
                    )}
                </div>
                <div class="now" aria-hidden="true">${this.now(finals)}</div>
            </div>
        `;
    }

    override updated(): void {
        const history = this.renderRoot.querySelector(".history");
        if (history !== null && this.follows) {
            history.scrollTop = history.scrollHeight;
        }
    }

    /** What is being said; else the last that was. */
    private now(finals: Caption[]) {
        const partials = this.captions.partials;
        const shown = partials.length > 0 ? partials : finals.slice(-1);
        return repeat(
            [...shown].reverse().slice(0, 2),
            ({ id }) => id,
            (caption) => html`<p>${this.said(caption)}</p>`,
        );
    }

    private said(caption: Caption) {
        const { text, stable, translation, delayMs } = caption;
        const late =
            this.look.latency && delayMs !== null
                ? html` <small class="quiet">${texts.captions.latencyOf((delayMs / 1000).toFixed(1))}</small>`
                : nothing;
        // Between the spans is no space: the stable words must not move when it grows.
        return html`<span class="who" ${variable("--hue", hue(caption.participantId))}>${caption.speaker}</span
            ><span>${text.slice(0, stable)}</span><span class="tail">${text.slice(stable)}</span>${late}${translation ===
            null
                ? nothing
                : html`<span class="translation">${translation}</span>`}`;
    }

    private resize(by: number): void {
        const at = SIZES.indexOf(this.look.size);
        const size = SIZES[Math.min(SIZES.length - 1, Math.max(0, (at < 0 ? 0 : at) + by))] as number;
        this.change({ size });
    }

    private change(some: Partial<CaptionLook>): void {
        this.look = { ...this.look, ...some };
        keptCaptionLook.write(this.look);
    }

    private scrolled(event: Event): void {
        const { scrollTop, scrollHeight, clientHeight } = event.target as HTMLElement;
        this.follows = scrollHeight - scrollTop - clientHeight < 24;
    }
}
