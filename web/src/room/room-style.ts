import { css } from "lit";

/** The room fills the window; only its parts scroll. */
export const roomStyle = css`
    .room {
        display: flex;
        flex-direction: column;
        height: var(--hansard-height, 100dvh);
        background: var(--ground);
    }
    header {
        padding: 0.6rem 1rem;
        border-bottom: 1px solid var(--line);
        background: var(--card);
    }
    .state {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        font-size: 0.95rem;
    }
    .state.on svg {
        color: #c5221f;
    }
    .notices {
        display: grid;
    }
    .note {
        border-radius: 0;
    }
    main {
        flex: 1;
        min-height: 0;
        display: grid;
        grid-template-columns: minmax(0, 1fr) minmax(20rem, 26rem);
    }
    main:has(aside[hidden]) {
        grid-template-columns: minmax(0, 1fr);
    }
    /* Has the focus after a click between its parts, so that its keys go on to work. */
    .room:focus {
        outline: none;
    }
    .people {
        overflow-y: auto;
        padding: 1rem;
    }
    .people:focus-visible {
        outline-offset: -3px;
    }
    .tiles {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr));
        gap: 0.8rem;
        margin-bottom: 0.8rem;
    }
    aside {
        min-height: 0;
        display: flex;
        flex-direction: column;
        gap: 0.8rem;
        padding: 1rem;
        border-inline-start: 1px solid var(--line);
        overflow-y: auto;
    }
    hansard-captions-view {
        flex: 1;
        min-height: 16rem;
    }
    footer {
        display: flex;
        flex-wrap: wrap;
        justify-content: center;
        gap: 0.6rem;
        padding: 0.7rem 1rem calc(0.7rem + env(safe-area-inset-bottom));
        border-top: 1px solid var(--line);
        background: var(--card);
    }
    footer .off {
        background: var(--warn-soft);
        border-color: var(--warn);
        color: var(--warn);
    }
    footer .kept svg {
        color: #c5221f;
    }
    @media (max-width: 46rem) {
        main {
            grid-template-columns: minmax(0, 1fr);
            grid-template-rows: minmax(0, 1fr) minmax(0, 1.2fr);
        }
        main:has(aside[hidden]) {
            grid-template-rows: minmax(0, 1fr);
        }
        aside {
            border-inline-start: 0;
            border-top: 1px solid var(--line);
            padding: 0.7rem 1rem;
        }
        hansard-captions-view {
            min-height: 11rem;
        }
        .tiles {
            grid-template-columns: repeat(auto-fill, minmax(min(100%, 9rem), 1fr));
        }
        footer {
            gap: 0.4rem;
        }
        footer button {
            padding-inline: 0.7rem;
            font-size: 0.9rem;
        }
        /* Two rows leave room for the people; the names stay, for those who hear them. */
        footer .short {
            min-width: 2.9rem;
            justify-content: center;
        }
        footer .short span {
            position: absolute;
            width: 1px;
            height: 1px;
            overflow: hidden;
            clip-path: inset(50%);
            white-space: nowrap;
        }
    }
`;
