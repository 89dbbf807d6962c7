import { css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import type { RecordingState, Segment } from "../api/types";
import { Captions } from "../captions/captions";
import "../captions/captions-view";
import { Socket, type Message } from "../room/socket";
import { texts } from "../text";
import { Embedded } from "./embedded";

/**
 * `<hansard-captions url meeting token>`: what is said in a meeting, for somebody who only reads
 * along. Takes a token of `POST /v1/meetings/{id}/tokens` with `"use": "observe"`. Tells `caption`
 * with each final, and `ended` with why; a new `token` goes on from there.
 */
@customElement("hansard-captions")
export class EmbeddedCaptions extends Embedded {
    static override styles = [
        Embedded.styles,
        css`
            :host {
                display: block;
                height: 20rem;
            }
            hansard-captions-view {
                height: 100%;
            }
        `,
    ];

    @state() private turn = 0;
    @state() private bundled = false;
    private captions = new Captions();
    /** Whose captions they are. */
    private of = "";
    private socket: Socket | null = null;

    override render() {
        return html`
            ${this.faultLine()}
            ${this.meeting === ""
                ? nothing
                : html`<hansard-captions-view
                      .captions=${this.captions}
                      .turn=${this.turn}
                      ?bundled=${this.bundled}
                  ></hansard-captions-view>`}
        `;
    }

    protected override async begin(): Promise<void> {
        this.fault = "";
        if (this.of !== this.meeting) {
            this.of = this.meeting;
            this.captions = new Captions();
        }
        this.socket = new Socket(this.signalUrl, { token: this.token }, 0, {
            joined: (joined) => {
                this.fault = "";
                this.captions.forgetPartials();
                this.recording(joined.recording);
            },
            message: (message) => this.told(message),
            lost: (tries) => {
                // A restart of the server is over before anybody has read about it.
                if (tries > 2) {
                    this.fails(new Error(texts.fault.unreachable));
                }
            },
            end: (end, detail) => {
                this.socket = null;
                this.captions.forgetPartials();
                this.turn += 1;
                if (end !== "ended") {
                    this.fails(new Error(detail));
                }
                this.tell("ended", { end, detail });
            },
        });
    }

    protected override end(): void {
        this.socket?.close();
        this.socket = null;
    }

    private recording({ epoch, model }: RecordingState): void {
        this.captions.inEpoch(epoch);
        // Once nobody holds the meeting, its words are still that model's.
        this.bundled = model?.bundled ?? this.bundled;
    }

    private told({ type, data }: Message): void {
        switch (type) {
            case "transcript_update":
            case "transcript_corrected": {
                const segment = data as Segment;
                this.captions.update(segment, Date.now());
                if (segment.final) {
                    this.tell("caption", segment);
                }
                break;
            }
            case "transcript_translated":
                this.captions.translate(data.segmentId, data.text);
                break;
            case "transcript_retracted":
                this.captions.retract(data.segmentId);
                break;
            case "recording_state":
                this.recording(data as RecordingState);
                break;
            default:
                return;
        }
        this.turn += 1;
    }
}
