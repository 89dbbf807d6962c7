import type { Page } from "./types";

/** A refusal of the REST API (RFC 9457), or no answer (`status` 0). */
export class Refusal extends Error {
    constructor(
        readonly status: number,
        /** The last part of the problem's type. */
        readonly kind: string,
        readonly detail: string,
        readonly errors: { pointer: string; detail: string }[] = [],
        readonly retryAfterS = 0,
    ) {
        super(detail);
    }
}

interface More {
    key?: string | undefined;
    signal?: AbortSignal | undefined;
}

/** The REST API, with a bearer token or by the session's cookie. */
export class Rest {
    constructor(
        /** The path of the public URL, without a slash at its end. */
        readonly root: string,
        private readonly token: string | null = null,
    ) {}

    with(token: string | null): Rest {
        return new Rest(this.root, token);
    }

    get<T>(path: string, signal?: AbortSignal): Promise<T> {
        return this.call<T>("GET", path, undefined, { signal });
    }

    post<T>(path: string, body: unknown, key?: string, signal?: AbortSignal): Promise<T> {
        return this.call<T>("POST", path, body, { key, signal });
    }

    put<T>(path: string): Promise<T> {
        return this.call<T>("PUT", path, undefined, {});
    }

    /** What is no JSON. */
    async text(path: string): Promise<string> {
        return (await this.send("GET", path, undefined, {})).text();
    }

    async delete(path: string): Promise<void> {
        await this.call("DELETE", path, undefined, {});
    }

    /** All pages of a list. */
    async all<T>(path: string): Promise<T[]> {
        const rows: T[] = [];
        let cursor: string | null = null;
        do {
            const more: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
            const page: Page<T> = await this.get<Page<T>>(`${path}?limit=200${more}`);
            rows.push(...page.data);
            cursor = page.nextCursor;
        } while (cursor !== null);
        return rows;
    }

    private async call<T>(method: string, path: string, body: unknown, more: More): Promise<T> {
        const answer = await this.send(method, path, body, more);
        return (answer.status === 204 ? undefined : await answer.json()) as T;
    }

    private async send(method: string, path: string, body: unknown, { key, signal }: More): Promise<Response> {
        const headers: Record<string, string> = {};
        if (this.token !== null) {
            headers["authorization"] = `Bearer ${this.token}`;
        }
        if (body !== undefined) {
            headers["content-type"] = "application/json";
        }
        if (key !== undefined) {
            headers["idempotency-key"] = key;
        }
        let answer: Response;
        try {
            answer = await fetch(`${this.root}${path}`, {
                method,
                headers,
                body: body === undefined ? null : JSON.stringify(body),
                credentials: this.token === null ? "same-origin" : "omit",
                cache: "no-store",
                signal: signal ?? null,
            });
        } catch (error) {
            throw new Refusal(0, "unreachable", error instanceof Error ? error.message : String(error));
        }
        if (!answer.ok) {
            throw await refusal(answer);
        }
        return answer;
    }
}

async function refusal(answer: Response): Promise<Refusal> {
    const problem = await answer.json().catch(() => ({}));
    const kind = typeof problem.type === "string" ? problem.type.split("/").pop() : "";
    const detail = typeof problem.detail === "string" ? problem.detail : answer.statusText;
    const retry = Number(answer.headers.get("retry-after") ?? 0);
    return new Refusal(answer.status, kind, detail, problem.errors ?? [], Number.isFinite(retry) ? retry : 0);
}
