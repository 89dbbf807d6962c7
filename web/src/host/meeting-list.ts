import { css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { Rest } from "../api/rest";
import type { Meeting, Page, Participant } from "../api/types";
import { PageElement } from "../look/element";
import { dateAndTime, length, listed, texts } from "../text";
import { inWords, timeOf } from "./fault";

const SHOWN = 30;
/** As long as fewer are found by a name, earlier meetings are read. */
const FOUND = 10;
/** After the last letter of a name. */
const TYPING_MS = 300;
/** Pages that are read for a name before it is asked whether to go on. */
const PAGES = 10;
/** Names shown of one meeting. */
const NAMES = 6;

/** A host's meetings, newest first, by date and by who took part. */
@customElement("hansard-meeting-list")
export class MeetingList extends PageElement {
    static override styles = [
        PageElement.styles,
        css`
            form {
                display: grid;
                grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr));
                gap: 0.8rem;
            }
            form label {
                display: grid;
                gap: 0.2rem;
                font-size: 0.9rem;
                font-weight: 600;
            }
            form input {
                font-size: 1rem;
                font-weight: 400;
            }
            ul {
                list-style: none;
                margin: 0;
                padding: 0;
                display: grid;
                gap: 0.6rem;
            }
            li {
                display: flex;
                flex-wrap: wrap;
                align-items: center;
                gap: 0.4rem 1rem;
                padding: 0.9rem 1.1rem;
            }
            li > div {
                flex: 1 1 16rem;
                min-width: 0;
            }
            li h2 {
                font-size: 1.05rem;
            }
            .badge {
                border-radius: 1rem;
                padding: 0.05rem 0.7rem;
                font-size: 0.85rem;
                background: var(--accent-soft);
            }
            .badge.live {
                background: var(--good-soft);
                color: var(--good);
            }
        `,
    ];

    @property() root = "";
    @state() private meetings: Meeting[] | null = null;
    @state() private people = new Map<string, Participant[]>();
    @state() private cursor: string | null = null;
    @state() private name = "";
    @state() private fault = "";
    private typing: ReturnType<typeof setTimeout> | undefined;
    private from = "";
    private to = "";
    private asked = 0;

    override connectedCallback(): void {
        super.connectedCallback();
        void this.read();
    }

    override render() {
        const shown = this.meetings?.filter((meeting) => this.fits(meeting));
        return html`
            <div class="page">
                <main class="wide">
                    <h1>${texts.host.title}</h1>
                    <form class="card" role="search" @submit=${(event: Event) => event.preventDefault()}>
                        <label>
                            ${texts.host.search}
                            <input
                                type="search"
                                placeholder=${texts.host.searchHint}
                                @input=${(event: Event) => this.named((event.target as HTMLInputElement).value)}
                            />
                        </label>
                        <label>
                            ${texts.host.from}
                            <input type="date" @change=${(event: Event) => this.between({ from: event })} />
                        </label>
                        <label>
                            ${texts.host.to}
                            <input type="date" @change=${(event: Event) => this.between({ to: event })} />
                        </label>
                    </form>
                    ${this.fault === "" ? nothing : html`<p class="note bad" role="alert">${this.fault}</p>`}
                    ${shown === undefined
                        ? html`<p role="status">${this.fault === "" ? texts.loading : nothing}</p>`
                        : this.list(shown)}
                </main>
            </div>
        `;
    }

    private list(shown: Meeting[]) {
        const none = this.meetings?.length === 0 && this.from === "" && this.to === "";
        return html`
            <p role="status" class="quiet" ?hidden=${shown.length > 0}>
                ${none ? texts.host.none : texts.host.noneFound}
            </p>
            <ul>
                ${repeat(
                    shown,
                    ({ id }) => id,
                    (meeting) => this.row(meeting),
                )}
            </ul>
            ${this.cursor === null
                ? nothing
                : html`<div class="row">
                      <button id="more" @click=${() => this.more()}>${texts.host.more}</button>
                  </div>`}
        `;
    }

    private row(meeting: Meeting) {
        const { id, status, startTime, endTime } = meeting;
        const names = (this.people.get(id) ?? []).map((person) => person.displayName);
        const took =
            startTime === null || endTime === null ? "" : ` · ${length(Date.parse(endTime) - Date.parse(startTime))}`;
        return html`
            <li class="card">
                <div>
                    <h2><a href=${`${this.root}/host/meetings/${id}`}>${dateAndTime(timeOf(meeting))}</a></h2>
                    <p class="small quiet">
                        ${names.length === 0
                            ? nothing
                            : `${texts.host.participants} ${listed(names.length > NAMES ? [...names.slice(0, NAMES), "…"] : names)}`}${took}
                    </p>
                </div>
                <span class="badge ${status}">${texts.host.status[status]}</span>
                ${status === "ended"
                    ? nothing
                    : html`<a class="button" href=${`${this.root}/m/${id}`}>${texts.host.enter}</a>`}
            </li>
        `;
    }

    private fits(meeting: Meeting): boolean {
        const name = this.name.trim().toLocaleLowerCase();
        const people = this.people.get(meeting.id) ?? [];
        return name === "" || people.some((person) => person.displayName.toLocaleLowerCase().includes(name));
    }

    private named(name: string): void {
        this.name = name;
        clearTimeout(this.typing);
        this.typing = setTimeout(() => void this.search(), TYPING_MS);
    }

    private async more(): Promise<void> {
        if (await this.read(this.cursor)) {
            await this.search();
        }
    }

    /** The server does not know meetings by who took part: what was not read yet is, page by page. */
    private async search(): Promise<void> {
        const name = this.name;
        for (let pages = 0; pages < PAGES && this.cursor !== null && name.trim() !== ""; pages++) {
            const found = this.meetings?.filter((meeting) => this.fits(meeting)).length ?? 0;
            if (found >= FOUND || !(await this.read(this.cursor)) || this.name !== name) {
                return;
            }
        }
    }

    private between(changed: { from?: Event; to?: Event }): void {
        const value = (event: Event | undefined, before: string) =>
            event === undefined ? before : (event.target as HTMLInputElement).value;
        this.from = value(changed.from, this.from);
        this.to = value(changed.to, this.to);
        void this.read().then(() => this.search());
    }

    /** Whether it was read, and nothing else was asked for meanwhile. */
    private async read(cursor: string | null = null): Promise<boolean> {
        const turn = ++this.asked;
        const rest = new Rest(this.root);
        const query = new URLSearchParams({ limit: String(SHOWN) });
        if (cursor !== null) {
            query.set("cursor", cursor);
        }
        if (this.from !== "") {
            query.set("from", new Date(`${this.from}T00:00`).toISOString());
        }
        if (this.to !== "") {
            const end = new Date(`${this.to}T00:00`);
            end.setDate(end.getDate() + 1);
            query.set("to", end.toISOString());
        }
        try {
            const page = await rest.get<Page<Meeting>>(`/v1/meetings?${query}`);
            if (turn !== this.asked) {
                return false;
            }
            this.meetings = [...(cursor === null ? [] : (this.meetings ?? [])), ...page.data];
            this.cursor = page.nextCursor;
            this.fault = "";
            for (const { id } of page.data) {
                const people = await rest.all<Participant>(`/v1/meetings/${id}/participants`);
                this.people = new Map(this.people).set(
                    id,
                    people.filter((person) => person.joinedAt !== null),
                );
            }
            return turn === this.asked;
        } catch (error) {
            this.fault = inWords(error);
            return false;
        }
    }
}
