import { svg, type SVGTemplateResult } from "lit";

const drawn = (body: SVGTemplateResult) => svg`<svg viewBox="0 0 24 24" aria-hidden="true">${body}</svg>`;

/** Drawn here, so that nothing is loaded. */
export const icons = {
    microphone: drawn(svg`<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5 11a7 7 0 0 0 14 0M12 18v3"/>`),
    muted: drawn(
        svg`<path d="M9 9V6a3 3 0 0 1 6 0v5M15 14a3 3 0 0 1-6-1M5 11a7 7 0 0 0 11 5.7M19 11a7 7 0 0 1-.5 2.6M12 18v3M4 4l16 16"/>`,
    ),
    camera: drawn(svg`<rect x="3" y="6" width="12" height="12" rx="2"/><path d="m15 10 6-3v10l-6-3z"/>`),
    screen: drawn(svg`<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>`),
    captions: drawn(
        svg`<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M7 11h4M13 11h4M7 15h7M16 15h1"/>`,
    ),
    invite: drawn(
        svg`<path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17"/>`,
    ),
    shield: drawn(svg`<path d="M12 3 4.5 6v6c0 4.5 3.2 7.6 7.5 9 4.3-1.4 7.5-4.5 7.5-9V6z"/>`),
    leave: drawn(svg`<path d="M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h10M17 8l4 4-4 4"/>`),
    play: drawn(svg`<path d="M7 4.5v15l12-7.5z"/>`),
    pause: drawn(svg`<path d="M8 5v14M16 5v14"/>`),
    back: drawn(svg`<path d="M4 12a8 8 0 1 0 3-6.2M4 4v4h4"/>`),
    forward: drawn(svg`<path d="M20 12a8 8 0 1 1-3-6.2M20 4v4h-4"/>`),
    download: drawn(svg`<path d="M12 4v11M7 11l5 5 5-5M5 20h14"/>`),
    dot: svg`<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="6" fill="currentColor" stroke="none"/></svg>`,
};

const HUES = [212, 152, 28, 282, 340, 186, 48, 252, 118, 4];

const places = new Map<string, number>();

/** Somebody's colour: the same wherever the name stands on a page, and another than those of the nine before. */
export function hue(id: string): number {
    const place = places.get(id) ?? places.size;
    places.set(id, place);
    return HUES[place % HUES.length] as number;
}

export function initials(name: string): string {
    const words = name.trim().split(/\s+/);
    const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
    return letters.map((word) => [...(word ?? "?")][0] ?? "?").join("").toLocaleUpperCase();
}
