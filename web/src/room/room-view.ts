import { html, nothing, type SVGTemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { Refusal, type Rest } from "../api/rest";
import type { Participant, Purpose } from "../api/types";
import "../captions/captions-view";
import { PageElement } from "../look/element";
import { icons } from "../look/icon";
import { texts } from "../text";
import "./consent-panel";
import { Level } from "./level";
import { canShare, openCamera, openMicrophone, openScreen, whyNoCamera, whyNot } from "./microphone";
import type { Room } from "./room";
import { roomStyle } from "./room-style";
import { Sound } from "./sound";
import { stateLine } from "./state-line";
import "./tile";

/** Louder than this is a voice. */
const VOICE = 0.25;
/** How long somebody counts as speaking after the last sound. */
const HOLD_MS = 600;
const LEVEL_MS = 100;
/** Losses in a row after which it is said what to try. */
const TRIES_SHOWN = 4;

/** The room: who is there, what is kept, captions, and what one can do. */
@customElement("hansard-room-view")
export class RoomView extends PageElement {
    static override styles = [PageElement.styles, roomStyle];

    @property({ attribute: false }) room!: Room;
    @property({ attribute: false }) rest!: Rest;
    @property({ attribute: false }) purposes: Purpose[] = [];
    @property() meetingId = "";
    /** A host's session is here: links are its right. */
    @property({ type: Boolean }) bySession = false;
    /** Changes whenever the room did. */
    @property({ attribute: false }) turn = 0;
    @state() private speaking = new Set<string>();
    @state() private showsCaptions = true;
    @state() private showsConsent = false;
    @state() private granting = false;
    @state() private fault = "";
    @state() private consentFault = "";
    @state() private said = "";
    @state() private asks: { text: string; yes(): Promise<unknown> } | null = null;
    @state() private link = "";
    private readonly sound = new Sound(() => this.requestUpdate());
    private readonly heardAt = new Map<string, number>();
    private ownLevel: { track: MediaStreamTrack; level: Level } | null = null;
    private timer: ReturnType<typeof setInterval> | undefined;

    override connectedCallback(): void {
        super.connectedCallback();
        this.timer = setInterval(() => this.listen(), LEVEL_MS);
        // Keys act where the focus is: the page around an element has its own.
        this.addEventListener("keydown", this.key);
    }

    override disconnectedCallback(): void {
        super.disconnectedCallback();
        clearInterval(this.timer);
        this.removeEventListener("keydown", this.key);
        this.ownLevel?.level.close();
        this.sound.close();
    }

    override render() {
        const { room } = this;
        const present = room.present;
        const line = stateLine(room.recording, present, this.purposes);
        return html`
            <div class="room" tabindex="-1">
                <header>
                    <p class="state ${line.isRecording ? "on" : ""}" role="status" id="recording-state">
                        ${line.isRecording ? icons.dot : nothing}<span>${line.text}</span>
                    </p>
                </header>
                ${this.notices()}
                <main class=${this.showsCaptions ? "" : "alone"}>
                    <section class="people" tabindex="0" aria-label=${texts.room.people}>
                        <h1 class="unseen">${texts.room.people}</h1>
                        <div class="tiles">${this.tiles(present)}</div>
                        ${present.length < 2 ? html`<p class="quiet">${texts.room.alone}</p>` : nothing}
                    </section>
                    <aside ?hidden=${!this.showsCaptions && !this.showsConsent}>
                        ${this.showsConsent ? this.consent() : nothing}
                        ${this.showsCaptions
                            ? html`<hansard-captions-view
                                  .captions=${room.captions}
                                  .turn=${this.turn}
                                  ?bundled=${room.recording.model?.bundled === true}
                              ></hansard-captions-view>`
                            : nothing}
                    </aside>
                </main>
                ${this.controls()}
            </div>
        `;
    }

    /** Where somebody came in by keyboard, they go on by it. */
    override firstUpdated(): void {
        void this.focusOn("#mute");
    }

    override updated(): void {
        const voices = new Map<string, MediaStreamTrack>();
        for (const [id, { audio }] of this.room.remotes) {
            if (audio !== null) {
                voices.set(id, audio);
            }
        }
        this.sound.play(voices);
    }

    private notices() {
        const { room } = this;
        const media = {
            failed: texts.fault.ice,
            unreachable: texts.fault.loopback,
            unavailable: texts.fault.noWebrtc,
            connecting: texts.room.connecting,
            connected: "",
        }[room.media];
        const connection =
            room.connection === "lost"
                ? `${texts.room.reconnecting}${room.tries >= TRIES_SHOWN ? ` ${room.isFull ? texts.fault.full : texts.fault.socket}` : ""}`
                : room.connection === "connecting"
                  ? texts.room.connecting
                  : media;
        return html`
            <div class="notices" role="status">
                ${connection === "" ? nothing : html`<p class="note warn">${connection}</p>`}
                ${room.withdrawing ? html`<p class="note warn">${texts.consent.working}</p>` : nothing}
                ${room.unplugged ? html`<p class="note warn">${texts.device.gone}</p>` : nothing}
                ${this.said === "" ? nothing : html`<p class="note good">${this.said}</p>`}
                ${this.link === ""
                    ? nothing
                    : html`<p class="note">${texts.room.linkIs} <a href=${this.link}>${this.link}</a></p>`}
            </div>
            ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
            ${this.sound.isBlocked
                ? html`<p class="note warn row">
                      ${texts.room.audioBlocked}
                      <button @click=${() => this.sound.resume().then(() => this.requestUpdate())}>
                          ${texts.room.playAudio}
                      </button>
                  </p>`
                : nothing}
            ${this.asks === null
                ? nothing
                : html`<div class="note row" role="alertdialog" aria-label=${this.asks.text}>
                      <strong>${this.asks.text}</strong>
                      <button class="danger sure" id="yes" @click=${this.confirmed}>${texts.room.yes}</button>
                      <button @click=${this.unasked}>${texts.cancel}</button>
                  </div>`}
        `;
    }

    private tiles(present: Participant[]) {
        const { room } = this;
        const shown = present.flatMap((person) => {
            const screen =
                person.id === room.ownId
                    ? (room.pictures.get("screen") ?? null)
                    : (room.remotes.get(person.id)?.screen ?? null);
            const tiles = [{ key: person.id, person, isScreen: false, video: this.picture(person) }];
            return screen === null || (screen.muted && !room.paused.has(`${person.id} screen`))
                ? tiles
                : [...tiles, { key: `${person.id} screen`, person, isScreen: true, video: screen }];
        });
        return repeat(
            shown,
            ({ key }) => key,
            ({ person, isScreen, video }) => html`
                <hansard-tile
                    .person=${person}
                    .video=${video}
                    ?screen=${isScreen}
                    ?own=${person.id === room.ownId}
                    ?speaks=${!isScreen && this.speaking.has(person.id)}
                    ?muted=${this.isMuted(person)}
                    ?paused=${room.paused.has(`${person.id} ${isScreen ? "screen" : "camera"}`)}
                    ?records=${this.purposes.includes("recording")}
                    ?transcribes=${this.purposes.includes("transcription")}
                    ?removable=${room.isHost && person.id !== room.ownId && person.role !== "host"}
                    @remove=${() => this.removePerson(person)}
                ></hansard-tile>
            `,
        );
    }

    private picture(person: Participant): MediaStreamTrack | null {
        if (person.id === this.room.ownId) {
            return this.room.pictures.get("camera") ?? null;
        }
        const camera = this.room.remotes.get(person.id)?.camera ?? null;
        return camera === null || camera.muted || camera.readyState === "ended" ? null : camera;
    }

    private isMuted(person: Participant): boolean {
        if (person.id === this.room.ownId) {
            return this.room.muted || this.room.withdrawing || this.room.microphone === null;
        }
        return person.streams.some((stream) => stream.source === "microphone" && stream.muted === true);
    }

    private consent() {
        const { room } = this;
        return html`
            <div class="card">
                <hansard-consent-panel
                    .consent=${room.self?.consent ?? { recording: null, transcription: null }}
                    .since=${(purpose: Purpose) => room.self?.consentSince[purpose] ?? null}
                    .purposes=${this.purposes}
                    ?withdrawing=${room.withdrawing}
                    ?granting=${this.granting}
                    .fault=${this.consentFault}
                    @agree=${(event: CustomEvent<Purpose[]>) => this.agree(event.detail)}
                    @withdraw=${(event: CustomEvent<Purpose[]>) => this.withdraw(event.detail)}
                ></hansard-consent-panel>
            </div>
        `;
    }

    private controls() {
        const { room } = this;
        const isSilent = room.muted || room.microphone === null;
        const kept = this.purposes.filter((purpose) => room.self?.consent[purpose] === "accepted");
        const muting =
            room.microphone === null ? texts.room.noMicrophone : room.muted ? texts.room.unmute : texts.room.mute;
        const captioning = this.showsCaptions ? texts.room.captionsHide : texts.room.captionsShow;
        return html`
            <footer>
                <button
                    id="mute"
                    class="short ${isSilent ? "off" : ""}"
                    title=${muting}
                    aria-keyshortcuts="m"
                    @click=${this.toggleMute}
                >
                    ${isSilent ? icons.muted : icons.microphone}
                    <span>${muting}</span>
                </button>
                ${this.showing("camera", icons.camera)} ${canShare() ? this.showing("screen", icons.screen) : nothing}
                <button
                    id="captions"
                    class="short ${this.showsCaptions ? "on" : ""}"
                    title=${captioning}
                    @click=${() => (this.showsCaptions = !this.showsCaptions)}
                >
                    ${icons.captions}
                    <span>${captioning}</span>
                </button>
                <button
                    id="consent"
                    class="short ${kept.length > 0 ? "kept" : ""}"
                    title=${texts.consent.title}
                    aria-expanded=${this.showsConsent}
                    @click=${() => (this.showsConsent = !this.showsConsent)}
                >
                    ${icons.shield}<span>${texts.consent.title}</span>
                </button>
                ${kept.length > 0 || room.withdrawing
                    ? html`<button
                          id="withdraw"
                          class="danger"
                          ?disabled=${room.withdrawing}
                          @click=${() => {
                              // This button goes; what can be changed back stays.
                              void this.focusOn("#consent");
                              void this.withdraw(kept);
                          }}
                      >
                          <span>${texts.consent.withdrawNow}</span>
                      </button>`
                    : nothing}
                ${room.isHost
                    ? html`
                          ${this.bySession
                              ? html`<button
                                    id="copy"
                                    class="short"
                                    title=${texts.room.copyLink}
                                    @click=${this.copyLink}
                                >
                                    ${icons.invite}<span>${texts.room.copyLink}</span>
                                </button>`
                              : nothing}
                          <button id="end" class="danger" @click=${this.endForAll}>
                              <span>${texts.room.end}</span>
                          </button>
                      `
                    : nothing}
                <button
                    id="leave"
                    class="danger short"
                    title=${texts.room.leave}
                    @click=${() => this.room.leave()}
                >
                    ${icons.leave}<span>${texts.room.leave}</span>
                </button>
            </footer>
        `;
    }

    private readonly key = (event: KeyboardEvent) => {
        if (event.key === "Escape" && this.asks !== null) {
            this.unasked();
            return;
        }
        const into = event.composedPath()[0];
        const types = into instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(into.tagName);
        const isAlone = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
        if (!types && isAlone && event.key.toLowerCase() === "m") {
            void this.toggleMute();
        }
    };

    private readonly toggleMute = async () => {
        if (this.room.microphone !== null) {
            await this.room.mute(!this.room.muted);
            return;
        }
        try {
            await this.room.speakThrough(await openMicrophone());
            this.fault = "";
        } catch (error) {
            this.fault = whyNot(error);
        }
    };

    private showing(source: "camera" | "screen", icon: SVGTemplateResult) {
        const isOn = this.room.pictures.has(source);
        const showing = texts.room[isOn ? (`${source}Off` as const) : source];
        return html`
            <button
                id=${source}
                class="short ${isOn ? "on" : ""}"
                title=${showing}
                @click=${() => this.togglePicture(source)}
            >
                ${icon}<span>${showing}</span>
            </button>
        `;
    }

    private async togglePicture(source: "camera" | "screen"): Promise<void> {
        try {
            const isOn = this.room.pictures.has(source);
            const open = source === "camera" ? openCamera : openScreen;
            await this.room.show(source, isOn ? null : await open());
            this.fault = "";
        } catch (error) {
            // Whoever shares may think better of it in the browser's own dialogue.
            const isCancelled = source === "screen" && error instanceof DOMException && error.name === "NotAllowedError";
            const why = error instanceof Error ? error.message : String(error);
            this.fault = isCancelled ? "" : source === "camera" ? whyNoCamera(error) : texts.room.screenFailed(why);
        }
    }

    private async withdraw(purposes: Purpose[]): Promise<void> {
        this.consentFault = "";
        try {
            await this.room.withdraw(purposes);
        } catch (error) {
            this.consentFault = said(error);
            this.showsConsent = true;
        }
    }

    private async agree(purposes: Purpose[]): Promise<void> {
        this.consentFault = "";
        this.granting = true;
        try {
            await this.room.agree(purposes);
        } catch (error) {
            this.consentFault =
                error instanceof Refusal && [0, 503].includes(error.status) ? texts.fault.consentAway : said(error);
        } finally {
            this.granting = false;
        }
    }

    /** Ending and removing are a participant's own rights as host; links are the session's. */
    private get asHost(): Rest {
        return this.rest.with(this.room.token);
    }

    private readonly endForAll = () => {
        this.ask(texts.room.endSure, () => this.asHost.put(`/v1/meetings/${this.meetingId}/end`));
    };

    private removePerson(person: Participant): void {
        const path = `/v1/meetings/${this.meetingId}/participants/${person.id}`;
        this.ask(texts.room.removeSure(person.displayName), () => this.asHost.delete(path));
    }

    private ask(text: string, yes: () => Promise<unknown>): void {
        this.asks = { text, yes };
        void this.focusOnQuestion("#yes");
    }

    private readonly unasked = () => {
        this.asks = null;
        void this.focusBack("#leave");
    };

    private readonly confirmed = async () => {
        const asked = this.asks;
        this.asks = null;
        // Where it was asked may go with the answer.
        void this.focusOn(".people");
        try {
            await asked?.yes();
        } catch (error) {
            this.fault = said(error);
        }
    };

    private readonly copyLink = async () => {
        try {
            const path = `/v1/meetings/${this.meetingId}/links`;
            const body = { role: "participant", expiresAt: null };
            const { url } = await this.rest.with(null).post<{ url: string }>(path, body);
            try {
                await navigator.clipboard.writeText(url);
                this.said = texts.room.copied;
                setTimeout(() => (this.said = ""), 4000);
            } catch {
                // Without a clipboard it is shown.
                this.link = url;
            }
        } catch (error) {
            this.fault = said(error);
        }
    };

    /** Who speaks, by the level of what is heard. */
    private listen(): void {
        const now = performance.now();
        const { room } = this;
        if (room.microphone !== (this.ownLevel?.track ?? null)) {
            this.ownLevel?.level.close();
            const track = room.microphone;
            this.ownLevel = track === null ? null : { track, level: new Level(track) };
        }
        const levels: [string, number][] = [...room.remotes].map(([id, { level }]) => [id, level?.read() ?? 0]);
        if (this.ownLevel !== null && !room.withdrawing) {
            levels.push([room.ownId, this.ownLevel.level.read()]);
        }
        for (const [id, level] of levels) {
            if (level > VOICE) {
                this.heardAt.set(id, now);
            }
        }
        // Who sends by another way than a browser is seen by the captions.
        for (const { participantId } of room.captions.partials) {
            if (!room.remotes.has(participantId) && participantId !== room.ownId) {
                this.heardAt.set(participantId, now);
            }
        }
        const speaking = new Set([...this.heardAt].filter(([, at]) => now - at < HOLD_MS).map(([id]) => id));
        if (speaking.size !== this.speaking.size || [...speaking].some((id) => !this.speaking.has(id))) {
            this.speaking = speaking;
        }
    }
}

function said(error: unknown): string {
    if (error instanceof Refusal && error.status === 0) {
        return texts.fault.unreachable;
    }
    return error instanceof Error ? texts.fault.other(error.message) : texts.fault.title;
}
