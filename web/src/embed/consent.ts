import { css, html } from "lit";
import { customElement, state } from "lit/decorators.js";
import type { ConsentEntry, ConsentStatus, Invitation, Purpose } from "../api/types";
import { purposesOf } from "../api/types";
import { ConsentRequests } from "../room/consent";
import "../room/consent-panel";
import { Embedded } from "./embedded";

/**
 * `<hansard-consent url meeting token>`: what is kept of somebody, to agree and to withdraw. Takes a
 * join, resume or consent token. Tells `consent` with what was said, once it counts.
 *
 * Whoever sends the sound has to stop it until then; the room does.
 */
@customElement("hansard-consent")
export class EmbeddedConsent extends Embedded {
    static override styles = [
        Embedded.styles,
        css`
            :host {
                display: block;
            }
        `,
    ];

    @state() private purposes: Purpose[] = ["recording", "transcription"];
    @state() private consent: Record<Purpose, ConsentStatus | null> = { recording: null, transcription: null };
    @state() private withdrawing = false;
    @state() private granting = false;
    private readonly since = new Map<Purpose, string>();
    private host = "";
    private requests = new ConsentRequests("");

    override render() {
        return html`
            <div class="card">
                <hansard-consent-panel
                    .consent=${this.consent}
                    .since=${(purpose: Purpose) => this.since.get(purpose) ?? null}
                    .purposes=${this.purposes}
                    ?withdrawing=${this.withdrawing}
                    ?granting=${this.granting}
                    .fault=${this.fault}
                    @agree=${(event: CustomEvent<Purpose[]>) => this.say(event.detail, "accepted")}
                    @withdraw=${(event: CustomEvent<Purpose[]>) => this.say(event.detail, "withdrawn")}
                ></hansard-consent-panel>
            </div>
        `;
    }

    protected override async begin(): Promise<void> {
        this.requests = new ConsentRequests(this.meeting);
        const at = `/v1/meetings/${this.meeting}`;
        // A consent token reads no invitation: then both are asked.
        const invitation = await this.rest.get<Invitation>(`${at}/invitation`).catch(() => null);
        if (invitation !== null) {
            this.purposes = purposesOf(invitation);
            this.host = invitation.hostName;
        }
        for (const entry of await this.rest.all<ConsentEntry>(`${at}/consents`)) {
            this.note(entry.purposes, entry.status, entry.timestamp);
        }
        this.fault = "";
    }

    protected override end(): void {
        this.consent = { recording: null, transcription: null };
        this.since.clear();
    }

    private note(purposes: Purpose[], status: ConsentStatus, at: string): void {
        const consent = { ...this.consent };
        for (const purpose of purposes) {
            consent[purpose] = status;
            this.since.set(purpose, at);
        }
        this.consent = consent;
    }

    private async say(purposes: Purpose[], status: "accepted" | "withdrawn"): Promise<void> {
        this.granting = status === "accepted";
        this.withdrawing = status === "withdrawn";
        try {
            const at = await (status === "accepted"
                ? this.requests.agree(this.rest, purposes, this.host)
                : this.requests.withdraw(this.rest, purposes));
            this.note(purposes, status, at);
            this.fault = "";
            this.tell("consent", { purposes, status });
        } catch (error) {
            this.fails(error);
        } finally {
            this.granting = this.withdrawing = false;
        }
    }
}
