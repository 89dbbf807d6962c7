import { LitElement, type CSSResultGroup } from "lit";
import { base, tokens } from "./style";

/** What all elements of the pages have in common. */
export abstract class PageElement extends LitElement {
    static override styles: CSSResultGroup = [tokens, base];

    /** Tells whoever uses the element that something happened. */
    protected tell(type: string, detail: unknown = undefined): void {
        this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
    }

    /** Puts the focus where something new begins, once it is drawn. */
    protected async focusOn(selector: string): Promise<void> {
        await this.updateComplete;
        this.renderRoot.querySelector<HTMLElement>(selector)?.focus();
    }
}
