-- What finals say in another language, of the newest version of each. They go with their segments.

create table transcript_translations (
    meeting_id uuid not null,
    segment_id uuid not null,
    language text not null,
    tenant_id uuid not null,
    revision integer not null,               -- of the segment
    text text not null,
    at timestamptz not null default clock_timestamp(),
    primary key (meeting_id, segment_id, language),
    foreign key (meeting_id, segment_id) references transcript_segments (meeting_id, id) on delete cascade
) partition by hash (meeting_id);

do $$
begin
    for n in 0..15 loop
        execute format('create table %I partition of transcript_translations for values with (modulus 16, remainder %s)',
                       'transcript_translations_' || lpad(n::text, 2, '0'), n);
    end loop;
end $$;

alter table transcript_translations enable row level security;
alter table transcript_translations force row level security;
create policy tenant on transcript_translations to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on transcript_translations to hansard_worker using (true);
create policy named on transcript_translations as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on transcript_translations to hansard_app, hansard_worker;

-- Which models workers run, so that an api knows what can be asked for. Of no tenant.
create table worker_models (
    worker uuid primary key,
    model text not null,
    translates boolean not null,
    seen_at timestamptz not null default clock_timestamp()
);
grant select, insert, update, delete on worker_models to hansard_app, hansard_worker;
