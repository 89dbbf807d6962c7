import { css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import type { Participant, Recording, Transcript } from "../api/types";
import "../player/player";
import { Embedded } from "./embedded";

/**
 * `<hansard-player url meeting token>`: a recording and its transcript. Takes a token of
 * `POST /v1/meetings/{id}/tokens` with `"use": "play"`, or a session token of the host.
 */
@customElement("hansard-player")
export class EmbeddedPlayer extends Embedded {
    static override styles = [
        Embedded.styles,
        css`
            :host {
                display: block;
            }
        `,
    ];

    @state() private people: Participant[] = [];
    @state() private recordings: Recording[] = [];
    @state() private transcript: Transcript | null = null;

    override render() {
        return html`
            ${this.faultLine()}
            ${this.transcript === null
                ? nothing
                : html`<hansard-player-view
                      .rest=${this.rest}
                      .meetingId=${this.meeting}
                      .mix=${this.recordings.find(({ kind, status }) => kind === "mix" && status === "ready") ?? null}
                      .tracks=${this.recordings.filter(({ kind }) => kind === "track")}
                      .people=${this.people}
                      .transcript=${this.transcript}
                      .links=${false}
                  ></hansard-player-view>`}
        `;
    }

    protected override async begin(): Promise<void> {
        const at = `/v1/meetings/${this.meeting}`;
        const [people, recordings, transcript] = await Promise.all([
            this.rest.all<Participant>(`${at}/participants`),
            this.rest.all<Recording>(`${at}/recordings`),
            this.rest.get<Transcript>(`${at}/transcript`),
        ]);
        this.people = people;
        this.recordings = recordings;
        this.transcript = transcript;
        this.fault = "";
    }

    protected override end(): void {
        this.transcript = null;
        this.recordings = [];
    }
}
