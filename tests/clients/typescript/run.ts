// What an application's server does, with the generated types: URL KEY FOLDER.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

type Recording = components["schemas"]["Recording"];

const [url, key, folder] = process.argv.slice(2) as [string, string, string];
const as = (token: string) => createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${token}` } });
const server = as(key);

function got<T>(answer: { data?: T; error?: components["schemas"]["Problem"]; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.status}: ${answer.error?.detail}`);
  return answer.data;
}

const ana = got(await server.POST("/v1/users", { body: { email: "ana@example.org", displayName: "Ana" } }));
const again = await server.POST("/v1/users", { body: { email: "ana@example.org", displayName: "Ana" } });
if (again.response.status !== 409 || again.error?.id !== ana.id) throw new Error("a conflict names the id");

const meeting = got(
  await server.POST("/v1/meetings", {
    params: { header: { "Idempotency-Key": "one" } },
    body: { hostId: ana.id, settings: { language: "en", recording: "audio", consentPolicy: "exclude" } },
  }),
);
const id = { id: meeting.id };
const joined = got(await server.POST("/v1/meetings/{id}/join", { params: { path: id }, body: { userId: ana.id } }));
const participant = as(joined.token);
const consent = got(
  await participant.POST("/v1/users/consent", {
    body: { meetingId: meeting.id, consentType: "recording_ai", status: "accepted", statement: "I agree" },
  }),
);
if (!("purposes" in consent) || consent.purposes.join() !== "recording,transcription") throw new Error("both purposes");

const stream = got(
  await participant.POST("/v1/meetings/{id}/streams", {
    params: { path: id },
    body: {
      participantId: joined.participantId,
      kind: "audio",
      codec: "opus",
      payloadType: 111,
      clockRate: 48000,
      ssrc: 4026531841,
    },
  }),
);
console.log(`port ${stream.ip} ${stream.port}`);
await once(process.stdin, "data");
process.stdin.destroy();

const ended = got(await server.PUT("/v1/meetings/{id}/end", { params: { path: id } }));
if (ended.status !== "ended" || ended.endTime === null) throw new Error("it ended");

let recordings: Recording[] = [];
const unready = (recording: Recording) => recording.status !== "ready" && recording.status !== "failed";
for (const until = Date.now() + 60_000; recordings.length < 2 || recordings.some(unready); ) {
  if (Date.now() > until) throw new Error(`not ready: ${JSON.stringify(recordings)}`);
  await new Promise((wait) => setTimeout(wait, 200));
  recordings = got(await server.GET("/v1/meetings/{id}/recordings", { params: { path: id, query: { limit: 200 } } })).data;
}
for (const { id } of recordings) {
  const recording = got(await server.GET("/v1/recordings/{id}", { params: { path: { id } } }));
  const seconds: number | null = recording.durationSeconds;
  if (seconds === null || seconds < 2) throw new Error(`${recording.kind}: ${seconds} s`);
  for (const gap of recording.gaps) if (gap.endMs <= gap.startMs) throw new Error(`${gap.reason} of no length`);
  const content = { params: { path: { id }, query: { redirect: false } } };
  const link = got(await server.GET("/v1/recordings/{id}/content", content));
  if (new Date(link.expiresAt).getTime() <= Date.now()) throw new Error("expired");
  // No credential of the API goes to the storage.
  const file = await fetch(link.url);
  await writeFile(`${folder}/${recording.kind}`, Buffer.from(await file.arrayBuffer()));
}

const transcript = got(await server.GET("/v1/meetings/{id}/transcript", { params: { path: id } }));
const words = transcript.segments.flatMap((segment) => segment.words.map((word) => word.text));
if (words.length === 0 && transcript.complete) throw new Error("no words");
const meetings = got(await server.GET("/v1/meetings", { params: { query: { hostId: ana.id, limit: 1 } } }));
if (meetings.data[0]?.id !== meeting.id || meetings.nextCursor !== null) throw new Error("one meeting is listed");
const entries = got(await server.GET("/v1/meetings/{id}/consents", { params: { path: id } }));
if (entries.data.length !== 1 || entries.data[0]?.status !== "accepted") throw new Error("one entry");
console.log("done");
