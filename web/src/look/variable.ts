import { nothing } from "lit";
import { directive, Directive, type ElementPart } from "lit/directive.js";

/** Sets a property of an element's style by script: a `style` attribute is forbidden by the pages' policy. */
class Variable extends Directive {
    override render(_name: string, _value: string | number) {
        return nothing;
    }

    override update(part: ElementPart, [name, value]: [string, string | number]) {
        (part.element as HTMLElement).style.setProperty(name, String(value));
        return nothing;
    }
}

export const variable = directive(Variable);
