-- A final may be corrected: its row has the newest version, the earlier ones are kept beside it. They go with it, so that a
-- withdrawal erases all of them.

alter table transcript_segments
    add column source text not null default 'live' check (source in ('live', 'refine', 'edit')),
    add column author text,                  -- who edited it: api_key:<id> or user:<id>
    add column revised_at timestamptz;       -- when this version was made, if it is not the first

create table transcript_revisions (
    meeting_id uuid not null,
    segment_id uuid not null,
    revision integer not null,
    tenant_id uuid not null,
    source text not null,
    author text,
    language text,
    text text not null,
    words jsonb not null,
    at timestamptz not null,
    primary key (meeting_id, segment_id, revision),
    foreign key (meeting_id, segment_id) references transcript_segments (meeting_id, id) on delete cascade
) partition by hash (meeting_id);

do $$
begin
    for n in 0..15 loop
        execute format('create table %I partition of transcript_revisions for values with (modulus 16, remainder %s)',
                       'transcript_revisions_' || lpad(n::text, 2, '0'), n);
    end loop;
end $$;

alter table transcript_revisions enable row level security;
alter table transcript_revisions force row level security;
create policy tenant on transcript_revisions to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on transcript_revisions to hansard_worker using (true);
create policy named on transcript_revisions as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on transcript_revisions to hansard_app, hansard_worker;

-- Names and terms that all meetings of a tenant expect.
create table glossaries (
    tenant_id uuid primary key references tenants,
    terms jsonb not null,
    updated_at timestamptz not null default clock_timestamp()
);
alter table glossaries enable row level security;
alter table glossaries force row level security;
create policy tenant on glossaries to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on glossaries to hansard_worker using (true);
create policy named on glossaries as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on glossaries to hansard_app, hansard_worker;
