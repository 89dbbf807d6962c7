import { html } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { keptGuest, keptSeat, keptWithdrawal, type KeptGuest, type KeptSeat } from "../api/kept";
import { Refusal, Rest } from "../api/rest";
import { purposesOf, type Invitation, type Ticket } from "../api/types";
import type { Choice } from "../join/join";
import "../join/join";
import { PageElement } from "../look/element";
import { ConsentRequests, say } from "../room/consent";
import { openMicrophone } from "../room/microphone";
import { Room } from "../room/room";
import "../room/room-view";
import type { End, Entry } from "../room/socket";
import { listed, nameLanguage, texts } from "../text";
import "./message";
import { whyNotHere, type Said } from "./why";

type Stage =
    | { at: "loading" }
    | { at: "message"; said: Said }
    | { at: "join"; invitation: Invitation }
    | { at: "room"; invitation: Invitation; room: Room };

/**
 * A meeting's page: from the link, or a host's session, to the room and out of it.
 *
 * A reload within the 30 seconds in which somebody counts as present comes back as the same
 * participant.
 */
@customElement("hansard-meeting")
export class MeetingPage extends PageElement {
    @property() root = "";
    @property() meeting = "";
    @state() private stage: Stage = { at: "loading" };
    @state() private busy = false;
    @state() private fault = "";
    @state() private wrongPassword = "";
    @state() private turn = 0;
    /** The link's secret; null: a host's session, by its cookie. */
    private secret: string | null = null;
    /** Who this browser was in this meeting before. */
    @state() private guest: KeptGuest | null = null;
    private pending = false;

    override connectedCallback(): void {
        super.connectedCallback();
        nameLanguage();
        this.secret = location.hash.startsWith("#hl_") ? location.hash.slice(1) : null;
        window.addEventListener("hashchange", () => location.reload());
        void this.begin();
    }

    override render() {
        const { stage } = this;
        switch (stage.at) {
            case "loading":
                return html`<hansard-message .heading=${texts.loading}></hansard-message>`;
            case "message":
                return html`<hansard-message
                    .heading=${stage.said.heading}
                    .text=${stage.said.text}
                    .action=${stage.said.action}
                    .files=${stage.said.files === true ? `${this.root}/host/meetings/${this.meeting}` : ""}
                    @act=${this.begin}
                ></hansard-message>`;
            case "join":
                return html`<hansard-join
                    .invitation=${stage.invitation}
                    ?named=${this.secret === null}
                    .known=${this.guest?.displayName ?? ""}
                    @forget=${() => this.forget()}
                    ?busy=${this.busy}
                    .fault=${this.fault}
                    .wrongPassword=${this.wrongPassword}
                    @join=${(event: CustomEvent<Choice>) => this.join(stage.invitation, event.detail)}
                ></hansard-join>`;
            case "room":
                return html`<hansard-room-view
                    .room=${stage.room}
                    .rest=${this.rest}
                    .purposes=${purposesOf(stage.invitation)}
                    .meetingId=${this.meeting}
                    ?bySession=${this.secret === null}
                    .turn=${this.turn}
                ></hansard-room-view>`;
        }
    }

    private get rest(): Rest {
        return new Rest(this.root, this.secret);
    }

    private readonly begin = async (): Promise<void> => {
        this.fault = this.wrongPassword = "";
        let invitation: Invitation;
        try {
            invitation = await this.rest.get<Invitation>(`/v1/meetings/${this.meeting}/invitation`);
        } catch (error) {
            this.show(whyNotHere(error, this.secret !== null));
            return;
        }
        document.title = `${invitation.hostName === "" ? texts.join.titlePlain : texts.join.title(invitation.hostName)} · ${texts.product}`;
        if (invitation.status === "ended") {
            keptSeat.write(this.meeting, null);
            this.show({ heading: texts.fault.over, text: texts.fault.overText, action: "", files: this.secret === null });
            return;
        }
        this.guest = this.secret === null ? null : keptGuest.read(this.meeting);
        const seat = keptSeat.read(this.meeting);
        if (seat?.resumeToken != null) {
            await this.comeBack(invitation, seat, seat.resumeToken);
        } else {
            this.stage = { at: "join", invitation };
        }
    };

    /** After a reload: the same participant, with the microphone that was sent, if it is still there. */
    private async comeBack(invitation: Invitation, seat: KeptSeat, resumeToken: string): Promise<void> {
        const microphone = seat.device === null ? null : await openMicrophone(seat.device).catch(() => null);
        this.enter(invitation, seat, { resumeToken }, microphone);
    }

    private async join(invitation: Invitation, choice: Choice): Promise<void> {
        this.busy = true;
        this.fault = this.wrongPassword = "";
        try {
            const ticket = await this.ask(choice);
            await this.answer(invitation, ticket, choice);
            const refused = ticket.consentRequired.filter((purpose) => choice.answers.get(purpose) !== true);
            if (refused.length > 0) {
                const missing = listed(refused.map((purpose) => texts.join[purpose]));
                this.fault = texts.join.required(missing);
                return;
            }
            const seat: KeptSeat = {
                participantId: ticket.participantId,
                displayName: choice.displayName,
                signalUrl: ticket.signalUrl,
                resumeToken: null,
                consentToken: ticket.consentToken,
            };
            const room = this.enter(invitation, seat, { token: ticket.token }, choice.microphone);
            if (choice.camera !== null) {
                await room.show("camera", choice.camera);
            }
        } catch (error) {
            this.refused(error);
        } finally {
            this.busy = false;
        }
    }

    private async ask(choice: Choice): Promise<Ticket> {
        const path = `/v1/meetings/${this.meeting}/join`;
        if (this.secret === null) {
            return this.rest.post<Ticket>(path, {});
        }
        const { displayName, password } = choice;
        if (this.guest !== null) {
            return this.rest.post<Ticket>(path, { consentToken: this.guest.consentToken });
        }
        return this.rest.post<Ticket>(path, { displayName, ...(password === null ? {} : { password }) });
    }

    /** What was chosen is said before the room is entered: from its first sound on it is known. */
    private async answer(invitation: Invitation, ticket: Ticket, choice: Choice): Promise<void> {
        const rest = this.rest.with(ticket.consentToken);
        const pending = keptWithdrawal.read(this.meeting);
        if (pending !== null) {
            // It comes before what is said now. One that is refused was none.
            const requests = new ConsentRequests(this.meeting);
            await requests.withdraw(rest, pending.purposes, undefined, pending.key).catch(() => undefined);
        }
        for (const status of ["accepted", "declined"] as const) {
            const purposes = purposesOf(invitation).filter(
                (purpose) => choice.answers.get(purpose) === (status === "accepted"),
            );
            if (purposes.length > 0) {
                await say(rest, this.meeting, purposes, status, invitation.hostName);
            }
        }
    }

    private refused(error: unknown): void {
        if (this.guest !== null && error instanceof Refusal && [401, 422].includes(error.status)) {
            // That token is of no use any more: like anybody who comes for the first time.
            this.forget();
            return;
        }
        const said = whyNotHere(error, this.secret !== null);
        const isPassword = error instanceof Refusal && error.kind === "wrong_password";
        if (isPassword) {
            this.wrongPassword = texts.join.passwordWrong;
        } else if (said.final) {
            this.show(said);
        } else {
            this.fault = said.text || said.heading;
        }
    }

    private enter(invitation: Invitation, seat: KeptSeat, entry: Entry, microphone: MediaStreamTrack | null): Room {
        const room = new Room({
            rest: this.rest,
            meetingId: this.meeting,
            hostName: invitation.hostName,
            seat,
            entry,
            microphone,
            changed: () => this.redraw(),
            end: (end) => this.ended(invitation, end),
        });
        this.stage = { at: "room", invitation, room };
        return room;
    }

    private ended(invitation: Invitation, end: End | "left"): void {
        const { fault } = texts;
        switch (end) {
            case "absent":
            case "unauthorized":
                // Longer away than anybody counts as present: the way in is the door.
                keptSeat.write(this.meeting, null);
                this.guest = this.secret === null ? null : keptGuest.read(this.meeting);
                this.stage = { at: "join", invitation };
                return;
            case "ended":
                this.show({ heading: fault.ended, text: fault.endedText, action: "", files: this.secret === null });
                return;
            case "left":
                this.show({ heading: fault.left, text: fault.leftText, action: fault.again });
                return;
            case "replaced":
                this.show({ heading: fault.replaced, text: fault.replacedText, action: fault.here });
                return;
            case "removed":
            case "consent_required":
                this.show({ heading: fault.removed, text: fault.removedText, action: "" });
                return;
        }
    }

    private forget(): void {
        keptGuest.write(this.meeting, null);
        keptWithdrawal.write(this.meeting, null);
        this.guest = null;
    }

    private show(said: Said): void {
        this.stage = { at: "message", said };
    }

    /** Events come in bursts; they are drawn once. */
    private redraw(): void {
        if (!this.pending) {
            this.pending = true;
            queueMicrotask(() => {
                this.pending = false;
                this.turn += 1;
            });
        }
    }
}
