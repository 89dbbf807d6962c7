import { css } from "lit";

/** Colours and sizes, light and dark. Text on every ground has a contrast of 4.5 or more. */
export const tokens = css`
    :host {
        --ground: #f6f7f9;
        --card: #ffffff;
        --line: #d5dae1;
        --edge: #7a8494;
        --text: #1b1f24;
        --quiet: #56606d;
        --accent: #0b57d0;
        --accent-text: #ffffff;
        --accent-soft: #e6eefc;
        --danger: #b3261e;
        --danger-text: #ffffff;
        --danger-soft: #fceeed;
        --good: #146c2e;
        --good-soft: #e7f4ea;
        --warn: #7a5200;
        --warn-soft: #fff4dc;
        --radius: 0.75rem;
        font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
        color: var(--text);
        color-scheme: light dark;
    }
    @media (prefers-color-scheme: dark) {
        :host {
            --ground: #14171b;
            --card: #1e2227;
            --line: #363c44;
            --edge: #8d96a3;
            --text: #e8eaed;
            --quiet: #a9b2be;
            --accent: #8ab4f8;
            --accent-text: #0d1117;
            --accent-soft: #22324a;
            --danger: #f2a39c;
            --danger-text: #2b0906;
            --danger-soft: #3c2221;
            --good: #8fd6a4;
            --good-soft: #1d3325;
            --warn: #f0c674;
            --warn-soft: #3a2f17;
        }
    }
`;

export const base = css`
    *,
    *::before,
    *::after {
        box-sizing: border-box;
    }
    [hidden] {
        display: none !important;
    }
    h1,
    h2,
    h3 {
        line-height: 1.25;
        margin: 0;
        font-weight: 650;
    }
    h1 {
        font-size: 1.6rem;
    }
    h2 {
        font-size: 1.1rem;
    }
    h3 {
        font-size: 1rem;
    }
    p {
        margin: 0;
    }
    a {
        color: var(--accent);
    }
    button,
    input,
    select {
        font: inherit;
        color: inherit;
    }
    button,
    a.button {
        display: inline-flex;
        align-items: center;
        justify-content: center;
        gap: 0.5rem;
        min-height: 2.5rem;
        padding: 0.4rem 0.9rem;
        border: 1px solid var(--edge);
        border-radius: 0.6rem;
        background: var(--card);
        color: var(--text);
        cursor: pointer;
        text-decoration: none;
        white-space: nowrap;
    }
    button:hover:not(:disabled, [aria-disabled="true"]),
    a.button:hover {
        background: var(--accent-soft);
    }
    button.primary,
    a.button.primary {
        background: var(--accent);
        border-color: var(--accent);
        color: var(--accent-text);
        font-weight: 600;
    }
    button.primary:hover:not(:disabled),
    a.button.primary:hover {
        filter: brightness(1.08);
        background: var(--accent);
    }
    button.danger {
        border-color: var(--danger);
        color: var(--danger);
    }
    button.danger.sure {
        background: var(--danger);
        color: var(--danger-text);
    }
    button.plain {
        border-color: transparent;
        background: none;
        color: var(--accent);
        padding-inline: 0.5rem;
    }
    button:disabled,
    button[aria-disabled="true"] {
        opacity: 0.6;
        cursor: default;
    }
    button[aria-pressed="true"],
    button.on {
        background: var(--accent-soft);
        border-color: var(--accent);
    }
    input:not([type="radio"], [type="checkbox"], [type="range"]),
    select {
        min-height: 2.5rem;
        padding: 0.4rem 0.7rem;
        border: 1px solid var(--edge);
        border-radius: 0.6rem;
        background: var(--card);
        color: var(--text);
        max-width: 100%;
    }
    input[type="radio"],
    input[type="checkbox"] {
        accent-color: var(--accent);
        width: 1.15rem;
        height: 1.15rem;
        margin: 0;
    }
    input[type="range"] {
        accent-color: var(--accent);
    }
    :focus-visible {
        outline: 3px solid var(--accent);
        outline-offset: 2px;
    }
    svg {
        width: 1.25em;
        height: 1.25em;
        flex: none;
        fill: none;
        stroke: currentColor;
        stroke-width: 2;
        stroke-linecap: round;
        stroke-linejoin: round;
    }
    .card {
        background: var(--card);
        border: 1px solid var(--line);
        border-radius: var(--radius);
        padding: 1.25rem;
    }
    .quiet {
        color: var(--quiet);
    }
    .small {
        font-size: 0.9rem;
    }
    .note {
        border-radius: 0.6rem;
        padding: 0.7rem 0.9rem;
        background: var(--accent-soft);
    }
    .note.bad {
        background: var(--danger-soft);
        color: var(--danger);
    }
    .note.warn {
        background: var(--warn-soft);
        color: var(--warn);
    }
    .note.good {
        background: var(--good-soft);
        color: var(--good);
    }
    .row {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
    }
    .unseen {
        position: absolute;
        width: 1px;
        height: 1px;
        overflow: hidden;
        clip-path: inset(50%);
        white-space: nowrap;
    }
    .page {
        min-height: 100vh;
        background: var(--ground);
        padding: 1.5rem 1rem 3rem;
    }
    .narrow {
        max-width: 34rem;
        margin: 0 auto;
        display: grid;
        gap: 1rem;
    }
    .wide {
        max-width: 64rem;
        margin: 0 auto;
        display: grid;
        gap: 1rem;
    }
    @media (prefers-reduced-motion: reduce) {
        * {
            transition: none !important;
            animation: none !important;
        }
    }
`;
