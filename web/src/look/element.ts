import { LitElement, type CSSResultGroup } from "lit";
import { base, tokens } from "./style";

/** What all elements of the pages have in common. */
export abstract class PageElement extends LitElement {
    static override styles: CSSResultGroup = [tokens, base];

    /** Tells whoever uses the element that something happened. */
    protected tell(type: string, detail: unknown = undefined): void {
        this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
    }

    /** Where the focus was when something was asked. */
    private askedFrom: HTMLElement | null = null;

    /** Puts the focus where something new begins, once it is drawn. */
    protected async focusOn(selector: string): Promise<void> {
        await this.updateComplete;
        this.renderRoot.querySelector<HTMLElement>(selector)?.focus();
    }

    /** The same for a question. {@link focusBack} follows it. */
    protected async focusOnQuestion(selector: string): Promise<void> {
        this.askedFrom = focused();
        await this.focusOn(selector);
    }

    /** Puts the focus back where it was before the question; where that is gone, to what stands in its place. */
    protected async focusBack(otherwise: string): Promise<void> {
        const before = this.askedFrom;
        this.askedFrom = null;
        await this.updateComplete;
        if (before?.isConnected === true) {
            before.focus();
        } else {
            await this.focusOn(otherwise);
        }
    }
}

/** What has the focus, also within elements. */
function focused(): HTMLElement | null {
    let inner = document.activeElement;
    while (inner?.shadowRoot?.activeElement != null) {
        inner = inner.shadowRoot.activeElement;
    }
    return inner instanceof HTMLElement ? inner : null;
}
