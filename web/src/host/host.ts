import { html } from "lit";
import { customElement, property } from "lit/decorators.js";
import { PageElement } from "../look/element";
import { nameLanguage } from "../text";
import "./meeting-list";
import "./meeting-page";

/** A host's pages, by the session's cookie: all meetings, or one. */
@customElement("hansard-host")
export class HostPage extends PageElement {
    @property() root = "";
    @property() meeting = "";

    override connectedCallback(): void {
        super.connectedCallback();
        nameLanguage();
    }

    override render() {
        return this.meeting === ""
            ? html`<hansard-meeting-list .root=${this.root}></hansard-meeting-list>`
            : html`<hansard-meeting-page .root=${this.root} .meeting=${this.meeting}></hansard-meeting-page>`;
    }
}
