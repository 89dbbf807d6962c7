import { css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { purposesOf, type Invitation } from "../api/types";
import { Room } from "../room/room";
import "../room/room-view";
import { Embedded } from "./embedded";

/**
 * `<hansard-room url meeting token>`: a meeting, with a participant's join token. The page's own
 * server has joined for them, and they are asked for their consent here. Tells `ended` with why.
 */
@customElement("hansard-room")
export class EmbeddedRoom extends Embedded {
    static override styles = [
        Embedded.styles,
        css`
            :host {
                display: block;
                height: 40rem;
                --hansard-height: 100%;
            }
            hansard-room-view {
                display: block;
                height: 100%;
            }
        `,
    ];

    @state() private room: Room | null = null;
    @state() private invitation: Invitation | null = null;
    @state() private turn = 0;

    override render() {
        return html`
            ${this.faultLine()}
            ${this.room === null || this.invitation === null
                ? nothing
                : html`<hansard-room-view
                      .room=${this.room}
                      .rest=${this.rest}
                      .purposes=${purposesOf(this.invitation)}
                      .meetingId=${this.meeting}
                      .turn=${this.turn}
                  ></hansard-room-view>`}
        `;
    }

    protected override async begin(): Promise<void> {
        this.invitation = await this.rest.get<Invitation>(`/v1/meetings/${this.meeting}/invitation`);
        this.room = new Room({
            rest: this.rest,
            meetingId: this.meeting,
            hostName: this.invitation.hostName,
            seat: {
                participantId: "",
                displayName: "",
                signalUrl: this.signalUrl,
                resumeToken: null,
                consentToken: this.token,
            },
            entry: { token: this.token },
            microphone: null,
            changed: () => (this.turn += 1),
            end: (end, detail) => {
                this.room = null;
                this.tell("ended", { end, detail });
            },
        });
        this.fault = "";
    }

    protected override end(): void {
        this.room?.finish();
        this.room = null;
    }
}
