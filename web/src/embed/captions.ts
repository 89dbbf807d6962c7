import { css, html } from "lit";
import { customElement, state } from "lit/decorators.js";
import type { RecordingState, Segment } from "../api/types";
import { Captions } from "../captions/captions";
import "../captions/captions-view";
import { Socket } from "../room/socket";
import { Embedded } from "./embedded";

/**
 * `<hansard-captions url meeting token>`: the captions of a meeting. Takes a token to observe. Tells
 * `caption` with each final, and `ended`.
 */
@customElement("hansard-captions")
export class EmbeddedCaptions extends Embedded {
    static override styles = [
        Embedded.styles,
        css`
            :host {
                display: block;
                height: 24rem;
            }
            hansard-captions-view {
                height: 100%;
            }
        `,
    ];

    @state() private turn = 0;
    private captions = new Captions();
    private socket: Socket | null = null;

    override render() {
        return html`
            ${this.faultLine()}
            <hansard-captions-view .captions=${this.captions} .turn=${this.turn}></hansard-captions-view>
        `;
    }

    protected override begin(): Promise<void> {
        this.captions = new Captions();
        this.socket = new Socket(this.signalUrl, { token: this.token }, 0, {
            joined: ({ recording }) => {
                this.captions.forgetPartials();
                this.captions.inEpoch(recording.epoch);
                this.turn += 1;
            },
            message: ({ type, data }) => {
                switch (type) {
                    case "transcript_update":
                    case "transcript_corrected":
                        this.captions.update(data as Segment, Date.now());
                        if ((data as Segment).final) {
                            this.tell("caption", data);
                        }
                        break;
                    case "transcript_translated":
                        this.captions.translate(data.segmentId, data.text);
                        break;
                    case "transcript_retracted":
                        this.captions.retract(data.segmentId);
                        break;
                    case "recording_state":
                        this.captions.inEpoch((data as RecordingState).epoch);
                        break;
                    default:
                        return;
                }
                this.turn += 1;
            },
            lost: () => undefined,
            end: (end, detail) => this.tell("ended", { end, detail }),
        });
        return Promise.resolve();
    }

    protected override end(): void {
        this.socket?.close();
        this.socket = null;
    }
}
