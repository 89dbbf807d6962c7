import { css, html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { ConsentStatus, Purpose } from "../api/types";
import { PageElement } from "../look/element";
import { moment, texts } from "../text";

/** What is kept of oneself, and one click to change it. Tells `agree` and `withdraw` with purposes. */
@customElement("hansard-consent-panel")
export class ConsentPanel extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: grid;
                gap: 0.7rem;
            }
            .purpose {
                display: grid;
                grid-template-columns: 1fr auto;
                align-items: center;
                gap: 0.2rem 0.8rem;
            }
            .state {
                grid-column: 1;
            }
            .purpose button {
                grid-column: 2;
                grid-row: 1 / span 2;
                min-width: 7rem;
            }
            .yes {
                color: var(--good);
            }
        `,
    ];

    @property({ attribute: false }) consent: Record<Purpose, ConsentStatus | null> = {
        recording: null,
        transcription: null,
    };
    @property({ attribute: false }) since: (purpose: Purpose) => string | null = () => null;
    /** The purposes that the meeting has. */
    @property({ attribute: false }) purposes: Purpose[] = [];
    @property({ type: Boolean }) withdrawing = false;
    @property({ type: Boolean }) granting = false;
    @property() fault = "";

    override render() {
        const agreed = this.purposes.filter((purpose) => this.consent[purpose] === "accepted");
        return html`
            <h2>${texts.consent.title}</h2>
            ${this.purposes.length === 0 ? html`<p>${texts.join.nothingKept}</p>` : nothing}
            ${this.purposes.map((purpose) => this.of(purpose))}
            ${agreed.length > 1
                ? html`<button
                      class="danger"
                      aria-disabled=${this.isBusy}
                      @click=${() => {
                          // This button goes; those of each purpose stay.
                          void this.focusOn(".purpose button");
                          this.ask("withdraw", agreed);
                      }}
                  >
                      ${texts.consent.withdrawAll}
                  </button>`
                : nothing}
            <div role="status">
                ${this.withdrawing ? html`<p class="note warn">${texts.consent.working}</p>` : nothing}
                ${this.granting ? html`<p class="note">${texts.consent.granting}</p>` : nothing}
            </div>
            ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
        `;
    }

    private get isBusy(): boolean {
        return this.withdrawing || this.granting;
    }

    /** The buttons keep the focus while an answer is on its way, and do nothing. */
    private ask(what: "agree" | "withdraw", purposes: Purpose[]): void {
        if (!this.isBusy) {
            this.tell(what, purposes);
        }
    }

    private of(purpose: Purpose) {
        const status = this.consent[purpose];
        const since = this.since(purpose);
        const accepted = status === "accepted";
        const said = status === null ? texts.consent.none : texts.consent[status];
        return html`
            <div class="purpose">
                <strong>${texts.consent[purpose]}</strong>
                <span class="state small ${accepted ? "yes" : "quiet"}">
                    ${said}${since === null ? nothing : html`, ${texts.consent.since(moment(new Date(since)))}`}
                </span>
                <button
                    class=${accepted ? "danger" : ""}
                    aria-disabled=${this.isBusy}
                    aria-label=${`${accepted ? texts.consent.withdraw : texts.consent.agree}: ${texts.consent[purpose]}`}
                    @click=${() => this.ask(accepted ? "withdraw" : "agree", [purpose])}
                >
                    ${accepted ? texts.consent.withdraw : texts.consent.agree}
                </button>
            </div>
        `;
    }
}
