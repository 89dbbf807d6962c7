import { de } from "./de";
import { en, type Texts } from "./en";

export type { Texts };

const languages: Texts[] = [en, de];

/** The texts in the first of the browser's languages that there is, else English. */
export const texts: Texts =
    navigator.languages
        .map((language) => languages.find((text) => text.code === language.slice(0, 2).toLowerCase()))
        .find((text) => text !== undefined) ?? en;

/** Says of the whole page which language it is in. */
export function nameLanguage(): void {
    document.documentElement.lang = texts.code;
}

/** How dates are written: as where the reader is, where that is this language. */
const locale = navigator.languages.find((language) => language.toLowerCase().startsWith(texts.code)) ?? texts.code;

/** `Ana, Bob and Carol`. */
export function listed(names: string[]): string {
    return new Intl.ListFormat(texts.code, { type: "conjunction" }).format(names);
}

export function timeOfDay(time: Date): string {
    return time.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
}

/** The time of day, with its date where that is another day. */
export function moment(time: Date, now = new Date()): string {
    return time.toDateString() === now.toDateString() ? timeOfDay(time) : dateAndTime(time);
}

export function dateAndTime(time: Date): string {
    return time.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** `1:02:03` or `2:03`. */
export function length(ms: number): string {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const two = (n: number) => String(n).padStart(2, "0");
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export function size(bytes: number): string {
    const mega = bytes / 1_048_576;
    const of = (n: number, unit: string) =>
        new Intl.NumberFormat(texts.code, { style: "unit", unit, maximumFractionDigits: n < 10 ? 1 : 0 }).format(n);
    return mega >= 1 ? of(mega, "megabyte") : of(Math.ceil(bytes / 1024), "kilobyte");
}
