import { css, html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { PageElement } from "../look/element";
import { texts } from "../text";

/** A page that says one thing, with at most one thing to do. Tells `act`. */
@customElement("hansard-message")
export class MessagePage extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            .card {
                display: grid;
                gap: 0.5rem;
            }
            h1:focus {
                outline: none;
            }
        `,
    ];

    @property() heading = "";
    @property() text = "";
    @property() action = "";
    /** Where a host finds what was kept; empty: nowhere. */
    @property() files = "";

    override firstUpdated(): void {
        void this.focusOn("h1");
    }

    override render() {
        return html`
            <div class="page">
                <main class="narrow">
                    <div class="card" role="status">
                        <h1 tabindex="-1">${this.heading}</h1>
                        ${this.text === "" ? nothing : html`<p>${this.text}</p>`}
                    </div>
                    ${this.action === ""
                        ? nothing
                        : html`<div class="row">
                              <button class="primary" @click=${() => this.tell("act")}>${this.action}</button>
                          </div>`}
                    ${this.files === ""
                        ? nothing
                        : html`<p><a class="button" href=${this.files}>${texts.host.toFiles}</a></p>`}
                </main>
            </div>
        `;
    }
}
