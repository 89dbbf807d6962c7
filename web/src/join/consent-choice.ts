import { css, html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Purpose } from "../api/types";
import { PageElement } from "../look/element";
import { texts } from "../text";

/** One question: may this be kept? Nothing is chosen beforehand. */
@customElement("hansard-consent-choice")
export class ConsentChoice extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            fieldset {
                border: 1px solid var(--line);
                border-radius: 0.6rem;
                padding: 0.8rem 1rem 1rem;
                margin: 0;
                min-width: 0;
            }
            fieldset.wrong {
                border-color: var(--danger);
            }
            legend {
                font-weight: 650;
                padding: 0 0.3rem;
            }
            .choices {
                display: grid;
                grid-template-columns: repeat(2, minmax(0, 1fr));
                gap: 0.6rem;
                margin-top: 0.6rem;
            }
            label {
                display: flex;
                align-items: center;
                justify-content: center;
                gap: 0.6rem;
                border: 1px solid var(--edge);
                border-radius: 0.6rem;
                padding: 0.55rem 0.8rem;
                cursor: pointer;
            }
            label:has(input:checked) {
                border-color: var(--accent);
                background: var(--accent-soft);
            }
            label:has(:focus-visible) {
                outline: 3px solid var(--accent);
                outline-offset: 2px;
            }
            input:focus-visible {
                outline: none;
            }
            .error {
                color: var(--danger);
                margin-top: 0.5rem;
            }
            @media (max-width: 28rem) {
                label {
                    gap: 0.4rem;
                    padding-inline: 0.4rem;
                }
            }
        `,
    ];

    @property() purpose: Purpose = "recording";
    @property({ attribute: false }) answer: boolean | null = null;
    @property({ type: Boolean }) wrong = false;

    override render() {
        const what = {
            recording: [texts.join.recording, texts.join.recordingWhat],
            transcription: [texts.join.transcription, texts.join.transcriptionWhat],
        }[this.purpose];
        const choice = (answer: boolean, text: string) => html`
            <label>
                <input
                    type="radio"
                    name="answer"
                    value=${answer ? "agree" : "decline"}
                    .checked=${this.answer === answer}
                    @change=${() => this.choose(answer)}
                />
                ${text}
            </label>
        `;
        return html`
            <fieldset class=${this.wrong ? "wrong" : ""} aria-describedby="what">
                <legend>${what[0]}</legend>
                <p id="what" class="small quiet">${what[1]}</p>
                <div class="choices">
                    ${choice(true, texts.join.agree)} ${choice(false, texts.join.decline)}
                </div>
                ${this.wrong ? html`<p class="error small" role="alert">${texts.join.choose}</p>` : nothing}
            </fieldset>
        `;
    }

    private choose(answer: boolean): void {
        this.answer = answer;
        this.tell("chosen", { purpose: this.purpose, answer });
    }
}
