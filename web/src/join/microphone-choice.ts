import { css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { keptOriginalSound } from "../api/kept";
import { PageElement } from "../look/element";
import { Level } from "../room/level";
import { isSecure, microphones, openMicrophone, whyNot } from "../room/microphone";
import { texts } from "../text";

/** Chooses the microphone, and shows that it hears. Tells `microphone` with its track or null. */
@customElement("hansard-microphone-choice")
export class MicrophoneChoice extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: grid;
                gap: 0.6rem;
            }
            label {
                font-weight: 650;
            }
            .original {
                font-weight: normal;
            }
            select {
                width: 100%;
            }
            .meter {
                height: 0.6rem;
                border-radius: 0.3rem;
                background: var(--line);
                overflow: hidden;
            }
            .meter div {
                height: 100%;
                width: 100%;
                background: var(--good);
                transform: scaleX(0);
                transform-origin: left;
            }
        `,
    ];

    @state() private track: MediaStreamTrack | null = null;
    @state() private devices: MediaDeviceInfo[] = [];
    @state() private fault = isSecure() ? "" : texts.device.insecure;
    @state() private asking = false;
    private level: Level | null = null;
    private frame = 0;

    override connectedCallback(): void {
        super.connectedCallback();
        void this.ifAllowed();
    }

    override disconnectedCallback(): void {
        super.disconnectedCallback();
        cancelAnimationFrame(this.frame);
        this.level?.close();
        this.level = null;
    }

    override render() {
        return html`
            <label for="device">${texts.join.microphone}</label>
            ${this.track === null ? this.askFor() : this.chosen()} ${isSecure() ? this.original() : nothing}
            ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
        `;
    }

    private askFor() {
        return html`
            <p class="small quiet">${texts.join.microphoneAsk}</p>
            <div class="row">
                <button
                    id="device"
                    type="button"
                    ?disabled=${this.asking || !isSecure()}
                    @click=${() => this.choose(undefined)}
                >
                    ${texts.join.microphoneAllow}
                </button>
            </div>
        `;
    }

    private chosen() {
        return html`
            <select id="device" @change=${(event: Event) => this.choose((event.target as HTMLSelectElement).value)}>
                ${this.devices.map(
                    ({ deviceId, label }) => html`
                        <option value=${deviceId} ?selected=${deviceId === this.track?.getSettings().deviceId}>
                            ${label}
                        </option>
                    `,
                )}
                <option value="">${texts.join.microphoneOff}</option>
            </select>
            <div class="meter" role="img" aria-label=${texts.join.microphoneLevel}><div></div></div>
            <p class="small quiet">${texts.join.microphoneSpeak}</p>
        `;
    }

    private original() {
        return html`
            <label class="original small">
                <input
                    id="original"
                    type="checkbox"
                    .checked=${keptOriginalSound.read()}
                    @change=${(event: Event) => this.keepOriginal((event.target as HTMLInputElement).checked)}
                />
                ${texts.join.microphoneOriginal}
            </label>
        `;
    }

    /** A microphone that is open already is opened anew: its echo cancellation cannot be switched. */
    private async keepOriginal(original: boolean): Promise<void> {
        keptOriginalSound.write(original);
        if (this.track !== null) {
            await this.use(this.track.getSettings().deviceId);
        }
    }

    /** Where the browser was allowed before, nobody is asked again. */
    private async ifAllowed(): Promise<void> {
        if (!isSecure()) {
            return;
        }
        const permission = await navigator.permissions
            ?.query({ name: "microphone" as PermissionName })
            .catch(() => null);
        if (permission?.state === "granted") {
            await this.use(undefined);
        }
    }

    /** What was used for that is drawn anew, and keeps the focus. */
    private async choose(deviceId: string | undefined): Promise<void> {
        await this.use(deviceId);
        await this.focusOn("#device");
    }

    private async use(deviceId: string | undefined): Promise<void> {
        this.stop();
        this.tell("microphone", null);
        if (deviceId === "") {
            return;
        }
        this.asking = true;
        try {
            const track = await openMicrophone(deviceId);
            this.track = track;
            this.fault = "";
            track.onended = () => {
                this.stop();
                this.fault = texts.device.gone;
                this.tell("microphone", null);
            };
            this.level = new Level(track);
            this.draw();
            // With its meter on the page: whoever joins from here on joins with it.
            this.tell("microphone", track);
            this.devices = await microphones();
        } catch (error) {
            this.fault = whyNot(error);
            this.stop();
            this.tell("microphone", null);
        } finally {
            this.asking = false;
        }
    }

    private stop(): void {
        cancelAnimationFrame(this.frame);
        this.level?.close();
        this.level = null;
        this.track?.stop();
        this.track = null;
    }

    private draw(): void {
        const bar = this.renderRoot.querySelector<HTMLElement>(".meter div");
        if (bar !== null && this.level !== null) {
            bar.style.transform = `scaleX(${this.level.read().toFixed(3)})`;
        }
        this.frame = requestAnimationFrame(() => this.draw());
    }
}
