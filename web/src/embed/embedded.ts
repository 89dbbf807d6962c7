import { css, html, nothing, type CSSResultGroup } from "lit";
import { property, state } from "lit/decorators.js";
import { Refusal, Rest } from "../api/rest";
import { PageElement } from "../look/element";
import { texts } from "../text";

/** What API keys begin with. */
const API_KEY = "hk_";

/**
 * An element for the pages of others: of one meeting, by a token of it.
 *
 * `url` is the server's public address, `token` comes from the page's own server. Events: `fault`
 * with a text, and what the element itself says.
 */
export abstract class Embedded extends PageElement {
    static override styles: CSSResultGroup = [
        PageElement.styles,
        css`
            :host {
                /* The page around it may be light in the dark. */
                background: var(--ground);
            }
        `,
    ];

    @property() url = "";
    @property() meeting = "";
    @property() token = "";
    @state() protected fault = "";
    private begun = "";

    protected get rest(): Rest {
        return new Rest(this.url.replace(/\/+$/, ""), this.token);
    }

    protected get signalUrl(): string {
        return `${this.rest.root.replace(/^http/, "ws")}/v1/signal`;
    }

    override connectedCallback(): void {
        super.connectedCallback();
        // The page around it may be in another language.
        this.lang = texts.code;
    }

    override updated(): void {
        const wanted = [this.url, this.meeting, this.token].join(" ");
        if (wanted !== this.begun && this.meeting !== "" && this.token !== "") {
            this.end();
            this.begun = wanted;
            if (this.token.startsWith(API_KEY)) {
                this.fails(new Error(texts.fault.apiKey));
                return;
            }
            void this.begin().catch((error: unknown) => this.fails(error));
        }
    }

    override disconnectedCallback(): void {
        super.disconnectedCallback();
        this.begun = "";
        this.end();
    }

    /** Everything is there that it needs. */
    protected abstract begin(): Promise<void>;

    protected abstract end(): void;

    protected fails(error: unknown): void {
        const unreachable = error instanceof Refusal && error.status === 0;
        this.fault = unreachable ? texts.fault.unreachable : error instanceof Error ? error.message : String(error);
        this.tell("fault", this.fault);
    }

    protected faultLine() {
        return this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`;
    }
}
