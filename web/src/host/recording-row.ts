import { css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Rest } from "../api/rest";
import type { Recording } from "../api/types";
import { PageElement } from "../look/element";
import { icons } from "../look/icon";
import { dateAndTime, length, size, texts } from "../text";
import { inWords } from "./fault";

/** How long a file from the archive stays readable. */
const RESTORE_DAYS = 7;

/** One recording: what it is, how it stands, and what can be done with it. Tells `changed`. */
@customElement("hansard-recording-row")
export class RecordingRow extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            .row {
                padding: 0.7rem 0;
                border-top: 1px solid var(--line);
            }
            .what {
                flex: 1 1 14rem;
                min-width: 0;
            }
            progress {
                width: 100%;
                accent-color: var(--accent);
            }
        `,
    ];

    @property({ attribute: false }) rest!: Rest;
    @property({ attribute: false }) recording!: Recording;
    @property() name = "";
    @state() private sure = false;
    @state() private said = "";
    @state() private fault = "";

    private get isArchived(): boolean {
        const { storageTier, restore } = this.recording;
        return storageTier === "archive" && restore.state !== "restored";
    }

    override render() {
        const { recording, name } = this;
        const { status, durationMs, sizeBytes, storageTier, progress, waitingFor, expiresAt } = recording;
        const facts = [
            texts.host.states[status] ?? status,
            durationMs === null ? "" : length(durationMs),
            sizeBytes === null ? "" : size(sizeBytes),
            status === "ready" ? texts.host.tiers[storageTier] : "",
            waitingFor === null ? "" : texts.host.waitingFor[waitingFor],
            expiresAt === null ? "" : texts.host.expires(dateAndTime(new Date(expiresAt))),
        ].filter((fact) => fact);
        return html`
            <div class="row">
                <div class="what" tabindex="-1">
                    <strong>${name}</strong>
                    <p class="small quiet">${facts.join(" · ")}</p>
                    ${status === "processing"
                        ? html`<progress aria-label=${name} max="1" .value=${progress ?? 0}></progress>`
                        : nothing}
                    ${recording.error === null ? nothing : html`<p class="small">${recording.error}</p>`}
                    <div role="status">
                        ${recording.restore.state === "running"
                            ? html`<p class="small">${texts.host.restoring}</p>`
                            : nothing}
                        ${this.said === "" ? nothing : html`<p class="small">${this.said}</p>`}
                    </div>
                    ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
                </div>
                ${this.actions()}
            </div>
        `;
    }

    private actions() {
        const { recording, name } = this;
        if (this.sure) {
            return html`
                <span>${texts.host.deleteSure(name)}</span>
                <button id="sure" class="danger sure" @click=${this.removeIt}>${texts.host.deleteYes}</button>
                <button @click=${this.unsure}>${texts.cancel}</button>
            `;
        }
        const content = `${this.rest.root}/v1/recordings/${recording.id}/content?download=true`;
        return html`
            ${recording.status === "ready" && !this.isArchived
                ? html`<a class="button" href=${content} aria-label=${`${texts.host.download}: ${name}`}>
                      ${icons.download}${texts.host.download}
                  </a>`
                : nothing}
            ${recording.status === "ready" && this.isArchived && recording.restore.state === "none"
                ? html`<button @click=${this.restore}>${texts.host.restore}</button>`
                : nothing}
            ${recording.status === "failed"
                ? html`<button @click=${this.again}>${texts.host.tryAgain}</button>`
                : nothing}
            ${recording.status === "ready" || recording.status === "failed"
                ? html`<button
                      id="delete"
                      class="danger"
                      aria-label=${`${texts.host.delete}: ${name}`}
                      @click=${() => {
                          this.sure = true;
                          void this.focusOnQuestion("#sure");
                      }}
                  >
                      ${texts.host.delete}
                  </button>`
                : nothing}
        `;
    }

    private readonly unsure = () => {
        this.sure = false;
        void this.focusBack("#delete");
    };

    private readonly removeIt = async () => {
        await this.act(async () => {
            await this.rest.delete(`/v1/recordings/${this.recording.id}`);
            this.said = texts.host.deleted;
        });
        await (this.fault === "" ? this.focusOn(".what") : this.focusBack("#delete"));
    };

    private readonly again = () => this.act(() => this.rest.post(`/v1/recordings/${this.recording.id}/retry`, {}));

    private readonly restore = () =>
        this.act(async () => {
            const path = `/v1/recordings/${this.recording.id}/restore`;
            const { readyBy } = await this.rest.post<{ readyBy: string }>(path, { days: RESTORE_DAYS });
            this.said = texts.host.restoreBy(dateAndTime(new Date(readyBy)));
        });

    private async act(what: () => Promise<unknown>): Promise<void> {
        try {
            await what();
            this.fault = "";
        } catch (error) {
            this.fault = inWords(error);
        }
        this.sure = false;
        this.tell("changed");
    }
}
