import { css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { PageElement } from "../look/element";
import { icons } from "../look/icon";
import { isSecure, openCamera, whyNoCamera } from "../room/microphone";
import { texts } from "../text";

/** Turns the camera on before joining, and shows what the others will see. Tells `camera` with its track or null. */
@customElement("hansard-camera-choice")
export class CameraChoice extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            :host {
                display: grid;
                gap: 0.6rem;
            }
            video {
                width: 100%;
                max-width: 20rem;
                aspect-ratio: 16 / 9;
                border-radius: 0.6rem;
                background: #000;
                object-fit: cover;
                /* As in a mirror. */
                transform: scaleX(-1);
            }
        `,
    ];

    @state() private picture: MediaStream | null = null;
    @state() private fault = "";
    @state() private asking = false;

    override disconnectedCallback(): void {
        super.disconnectedCallback();
        // In the room it goes on, by whoever was told of it.
        this.picture = null;
    }

    override render() {
        if (!isSecure()) {
            // The microphone says so already.
            return nothing;
        }
        return html`
            <strong>${texts.join.camera}</strong>
            ${this.picture === null
                ? nothing
                : html`<video
                      autoplay
                      playsinline
                      .muted=${true}
                      .srcObject=${this.picture}
                      aria-label=${texts.join.cameraPreview}
                  ></video>`}
            <div class="row">
                <button id="camera" type="button" aria-disabled=${this.asking} @click=${this.toggle}>
                    ${icons.camera}${this.picture === null ? texts.room.camera : texts.room.cameraOff}
                </button>
            </div>
            <p class="small quiet">${texts.join.cameraHint}</p>
            ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
        `;
    }

    private readonly toggle = async () => {
        if (this.asking) {
            return;
        }
        if (this.picture !== null) {
            this.use(null);
            return;
        }
        this.asking = true;
        try {
            const track = await openCamera();
            track.onended = () => this.use(null);
            this.use(track);
            this.fault = "";
        } catch (error) {
            this.fault = whyNoCamera(error);
        } finally {
            this.asking = false;
        }
    };

    private use(track: MediaStreamTrack | null): void {
        for (const before of this.picture?.getTracks() ?? []) {
            before.stop();
        }
        this.picture = track === null ? null : new MediaStream([track]);
        this.tell("camera", track);
    }
}
