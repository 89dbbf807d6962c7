import { css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { Refusal, Rest } from "../api/rest";
import type { Meeting, Participant, Recording, Transcript } from "../api/types";
import { PageElement } from "../look/element";
import "../player/player";
import { dateAndTime, texts } from "../text";
import { inWords, timeOf } from "./fault";
import "./recording-row";

/** While something is still being made. */
const AGAIN_MS = 2000;
const BUSY = ["recording", "processing", "deleting"];

/** One meeting of a host: its player, its files, and deleting it. */
@customElement("hansard-meeting-page")
export class MeetingFiles extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            header {
                display: grid;
                gap: 0.3rem;
            }
            .end {
                justify-content: flex-end;
            }
        `,
    ];

    @property() root = "";
    @property() meeting = "";
    @state() private of: Meeting | null = null;
    @state() private people: Participant[] = [];
    @state() private recordings: Recording[] = [];
    @state() private transcript: Transcript | null = null;
    @state() private fault = "";
    @state() private sure = false;
    @state() private deleted = false;
    private timer: ReturnType<typeof setTimeout> | undefined;

    private get rest(): Rest {
        return new Rest(this.root);
    }

    override connectedCallback(): void {
        super.connectedCallback();
        void this.read();
    }

    override disconnectedCallback(): void {
        super.disconnectedCallback();
        clearTimeout(this.timer);
    }

    override render() {
        const { of } = this;
        return html`
            <div class="page">
                <main class="wide">
                    <header>
                        <p><a href=${`${this.root}/host`}>${texts.host.back}</a></p>
                        <h1>${of === null ? texts.loading : texts.host.meetingOf(dateAndTime(timeOf(of)))}</h1>
                    </header>
                    ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
                    ${this.deleted ? html`<p class="note good" id="deleted" role="status" tabindex="-1">${texts.host.deleted}</p>` : nothing}
                    ${of === null || this.deleted ? nothing : this.content(of)}
                </main>
            </div>
        `;
    }

    private content(of: Meeting) {
        const mix = this.recordings.find(({ kind, status }) => kind === "mix" && status === "ready");
        return html`
            ${of.status === "ended"
                ? nothing
                : html`<div class="note row">
                      ${of.status === "live" ? texts.host.live : nothing}
                      <a class="button" href=${`${this.root}/m/${of.id}`}>${texts.host.enter}</a>
                  </div>`}
            ${this.transcript === null
                ? nothing
                : html`<hansard-player-view
                      .rest=${this.rest}
                      .meetingId=${of.id}
                      .mix=${mix ?? null}
                      .tracks=${this.recordings.filter(({ kind }) => kind === "track")}
                      .people=${this.people}
                      .transcript=${this.transcript}
                  ></hansard-player-view>`}
            <section class="card">
                <h2>${texts.host.recordings}</h2>
                ${this.recordings.length === 0
                    ? html`<p class="quiet">${texts.host.noRecordings}</p>`
                    : repeat(
                          [...this.recordings].sort((a, b) => Number(b.kind === "mix") - Number(a.kind === "mix")),
                          ({ id }) => id,
                          (recording) => html`
                              <hansard-recording-row
                                  .rest=${this.rest}
                                  .recording=${recording}
                                  .name=${this.nameOf(recording)}
                                  @changed=${() => this.read()}
                              ></hansard-recording-row>
                          `,
                      )}
            </section>
            ${of.status === "live" ? nothing : this.deleting()}
        `;
    }

    private deleting() {
        return this.sure
            ? html`<div class="note warn row" role="alertdialog" aria-label=${texts.host.deleteMeetingSure}>
                  <span>${texts.host.deleteMeetingSure}</span>
                  <button id="sure" class="danger sure" @click=${this.removeIt}>${texts.host.deleteYes}</button>
                  <button
                      @click=${() => {
                          this.sure = false;
                          void this.focusBack("#delete");
                      }}
                  >
                      ${texts.cancel}
                  </button>
              </div>`
            : html`<div class="row end">
                  <button
                      id="delete"
                      class="danger"
                      @click=${() => {
                          this.sure = true;
                          void this.focusOnQuestion("#sure");
                      }}
                  >
                      ${texts.host.deleteMeeting}
                  </button>
              </div>`;
    }

    private nameOf({ kind, participantId }: Recording): string {
        const person = this.people.find(({ id }) => id === participantId);
        return kind === "mix" ? texts.host.mix : texts.host.track(person?.displayName ?? "?");
    }

    private readonly removeIt = async () => {
        try {
            await this.rest.delete(`/v1/meetings/${this.meeting}`);
            clearTimeout(this.timer);
            this.deleted = true;
            void this.focusOn("#deleted");
        } catch (error) {
            this.fault = inWords(error);
        }
        this.sure = false;
    };

    private async read(): Promise<void> {
        clearTimeout(this.timer);
        const at = `/v1/meetings/${this.meeting}`;
        try {
            const [of, people, recordings, transcript] = await Promise.all([
                this.rest.get<Meeting>(at),
                this.rest.all<Participant>(`${at}/participants`),
                this.rest.all<Recording>(`${at}/recordings`),
                this.rest.get<Transcript>(`${at}/transcript`).catch(gone),
            ]);
            this.of = of;
            this.people = people;
            this.recordings = recordings;
            // Drawn anew only where it changed: somebody may be reading.
            if (JSON.stringify(transcript) !== JSON.stringify(this.transcript)) {
                this.transcript = transcript;
            }
            this.fault = "";
            const isBusy = recordings.some(
                ({ status, restore }) => BUSY.includes(status) || restore.state === "running",
            );
            if (isBusy || of.status !== "ended" || transcript?.complete === false) {
                this.timer = setTimeout(() => this.read(), AGAIN_MS);
            }
        } catch (error) {
            this.fault = inWords(error);
            if (error instanceof Refusal && [0, 503].includes(error.status)) {
                this.timer = setTimeout(() => this.read(), AGAIN_MS);
            }
        }
    }
}

/** A transcript that was deleted is none. */
function gone(error: unknown): Transcript | null {
    if (error instanceof Refusal && error.status === 410) {
        return null;
    }
    throw error;
}
