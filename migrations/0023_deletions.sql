-- What was deleted, or is being deleted: who asked, when and why, and what is left to know of it. These rows stay.

create table deletions (
    meeting_id uuid not null,
    what text not null check (what in ('recording', 'transcript', 'meeting')),
    subject uuid not null,                   -- the recording, or the meeting
    tenant_id uuid not null,
    author text not null,                    -- api_key:<id> or user:<id>
    reason text,
    asked_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
    done_at timestamptz,                     -- every copy is gone
    primary key (meeting_id, what, subject)
);
create index deletions_open on deletions (meeting_id) where done_at is null;
alter table deletions enable row level security;
alter table deletions force row level security;
create policy tenant on deletions to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on deletions to hansard_worker using (true);
create policy named on deletions as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on deletions to hansard_app, hansard_worker;

-- When the deletion of all of it was asked for.
alter table meetings add column deletion_asked_at timestamptz;

-- A deleted mix may be made again, as another recording.
drop index recordings_mix;
create unique index recordings_mix on recordings (meeting_id)
    where kind = 'mix' and deleted_at is null and status <> 'deleting';
