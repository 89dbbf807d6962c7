import { css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { keptName } from "../api/kept";
import { purposesOf, type Invitation, type Purpose } from "../api/types";
import { PageElement } from "../look/element";
import { texts } from "../text";
import type { ConsentChoice } from "./consent-choice";
import "./camera-choice";
import "./consent-choice";
import "./microphone-choice";

/** What somebody chose before joining. */
export interface Choice {
    displayName: string;
    password: string | null;
    microphone: MediaStreamTrack | null;
    camera: MediaStreamTrack | null;
    answers: Map<Purpose, boolean>;
}

/** Asks for a name, a microphone, a camera and consent. Tells `join` with a {@link Choice}. */
@customElement("hansard-join")
export class JoinForm extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            form {
                display: grid;
                gap: 1rem;
            }
            .field {
                display: grid;
                gap: 0.3rem;
            }
            .field > label {
                font-weight: 650;
            }
            .error {
                color: var(--danger);
            }
            section {
                display: grid;
                gap: 0.8rem;
            }
            button.primary {
                min-height: 3rem;
                font-size: 1.05rem;
            }
        `,
    ];

    @property({ attribute: false }) invitation!: Invitation;
    /** A host joins as itself. */
    @property({ type: Boolean }) named = false;
    /** Who this browser was here before; empty: nobody. Tells `forget` when it is somebody else. */
    @property() known = "";
    @property({ type: Boolean }) busy = false;
    /** Why it did not work, as a text. */
    @property() fault = "";
    @property() wrongPassword = "";
    @state() private answers = new Map<Purpose, boolean>();
    @state() private tried = false;
    private microphone: MediaStreamTrack | null = null;
    private camera: MediaStreamTrack | null = null;

    private get purposes(): Purpose[] {
        return purposesOf(this.invitation);
    }

    override render() {
        const { hostName, passwordRequired } = this.invitation;
        return html`
            <div class="page">
                <main class="narrow">
                    <header>
                        <h1>${hostName === "" ? texts.join.titlePlain : texts.join.title(hostName)}</h1>
                        <p class="quiet">${texts.join.lead}</p>
                    </header>
                    <form novalidate @submit=${this.submit}>
                        ${this.named ? nothing : this.known === "" ? this.name() : this.again()}
                        ${passwordRequired && this.isNew ? this.password() : nothing}
                        <section class="card">
                            <hansard-microphone-choice
                                @microphone=${(event: CustomEvent) => (this.microphone = event.detail)}
                            ></hansard-microphone-choice>
                            <hansard-camera-choice
                                @camera=${(event: CustomEvent) => (this.camera = event.detail)}
                            ></hansard-camera-choice>
                        </section>
                        ${this.consent()}
                        ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
                        <button class="primary" ?disabled=${this.busy}>
                            ${this.busy ? texts.join.joining : texts.join.join}
                        </button>
                    </form>
                </main>
            </div>
        `;
    }

    /** Whether somebody comes by the link for the first time. */
    private get isNew(): boolean {
        return !this.named && this.known === "";
    }

    private again() {
        return html`
            <p class="note row">
                <span>${texts.join.again(this.known)}</span>
                <button type="button" class="plain" @click=${() => this.tell("forget")}>
                    ${texts.join.notYou}
                </button>
            </p>
        `;
    }

    private name() {
        const missing = this.tried && this.value("name").trim() === "";
        return html`
            <div class="field">
                <label for="name">${texts.join.name}</label>
                <input
                    id="name"
                    name="name"
                    autocomplete="name"
                    maxlength="128"
                    required
                    .defaultValue=${keptName.read()}
                    aria-describedby="name-hint"
                    aria-invalid=${missing ? "true" : "false"}
                />
                <p id="name-hint" class="small ${missing ? "error" : "quiet"}">
                    ${missing ? texts.join.nameMissing : texts.join.nameHint}
                </p>
            </div>
        `;
    }

    private password() {
        const missing = this.tried && this.value("password") === "" ? texts.join.passwordMissing : this.wrongPassword;
        return html`
            <div class="field">
                <label for="password">${texts.join.password}</label>
                <input
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="off"
                    maxlength="256"
                    aria-describedby="password-hint"
                    aria-invalid=${missing === "" ? "false" : "true"}
                />
                <p id="password-hint" class="small error" ?hidden=${missing === ""}>${missing}</p>
            </div>
        `;
    }

    private consent() {
        const { hostName, consentPolicy } = this.invitation;
        if (this.purposes.length === 0) {
            return html`<p class="note">${texts.join.nothingKept}</p>`;
        }
        const consequence = {
            exclude: texts.join.policyExclude,
            all: texts.join.policyAll,
            required: texts.join.policyRequired,
        }[consentPolicy];
        return html`
            <section class="card">
                <h2>${texts.join.consentTitle}</h2>
                <p>${texts.join.consentIntro(hostName)}</p>
                ${this.purposes.map(
                    (purpose) => html`
                        <hansard-consent-choice
                            .purpose=${purpose}
                            .answer=${this.answers.get(purpose) ?? null}
                            ?wrong=${this.tried && !this.answers.has(purpose)}
                            @chosen=${this.chosen}
                        ></hansard-consent-choice>
                    `,
                )}
                <p class="small quiet">${consequence}</p>
            </section>
        `;
    }

    private chosen(event: CustomEvent<{ purpose: Purpose; answer: boolean }>): void {
        this.answers = new Map(this.answers).set(event.detail.purpose, event.detail.answer);
    }

    private value(name: string): string {
        return this.renderRoot.querySelector<HTMLInputElement>(`#${name}`)?.value ?? "";
    }

    private submit(event: Event): void {
        event.preventDefault();
        this.tried = true;
        const displayName = this.value("name").trim();
        const asksPassword = this.invitation.passwordRequired && this.isNew;
        if (this.isNew && displayName === "") {
            void this.focusOn("#name");
            return;
        }
        if (asksPassword && this.value("password") === "") {
            void this.focusOn("#password");
            return;
        }
        const open = this.purposes.find((purpose) => !this.answers.has(purpose));
        if (open !== undefined) {
            const choice = [...this.renderRoot.querySelectorAll<ConsentChoice>("hansard-consent-choice")].find(
                (element) => element.purpose === open,
            );
            choice?.shadowRoot?.querySelector("input")?.focus();
            return;
        }
        if (this.isNew) {
            keptName.write(displayName);
        }
        const choice: Choice = {
            displayName: this.isNew ? displayName : this.known,
            password: asksPassword ? this.value("password") : null,
            microphone: this.microphone,
            camera: this.camera,
            answers: this.answers,
        };
        this.tell("join", choice);
    }
}
