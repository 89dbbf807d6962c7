-- Who is to be taken out of what was recorded and said, and what became of it. These rows stay: whatever is made later
-- of the meeting leaves it out, too.

create table redactions (
    meeting_id uuid not null,
    id uuid not null,
    tenant_id uuid not null,
    participant_id uuid not null,
    purposes text[] not null,
    from_ms bigint,                          -- MeetingTime; null: from the beginning
    to_ms bigint,                            -- null: to the end
    reason text,
    author text not null,                    -- api_key:<id>, user:<id> or participant:<id>
    asked_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
    state text not null check (state in ('asked', 'declined', 'waiting', 'running', 'waiting_restore', 'done')),
    decided_by text,
    decision_reason text,
    begun boolean not null default false,    -- words are gone, and what is below is known
    files jsonb not null default '[]',       -- of the recordings, before
    objects text[] not null default '{}',    -- keys of all that held what goes
    erasure_id uuid,                         -- of the person, in all meetings
    segments integer not null default 0,     -- of the transcript, taken back
    error text,                              -- what keeps it waiting
    completed_at timestamptz,
    spools_outstanding bigint not null default 0,
    certificate jsonb,
    jws text,
    primary key (meeting_id, id),
    foreign key (meeting_id, participant_id) references participants (meeting_id, id)
);
create index redactions_erasure on redactions (erasure_id) where erasure_id is not null;
create index redactions_open on redactions (meeting_id) where completed_at is null or spools_outstanding > 0;
alter table redactions enable row level security;
alter table redactions force row level security;
create policy tenant on redactions to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on redactions to hansard_worker using (true);
create policy named on redactions as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on redactions to hansard_app, hansard_worker;

alter table recordings
    add column gain_db double precision,                 -- of a mix
    add column redacting boolean not null default false; -- its file holds what is being taken out
