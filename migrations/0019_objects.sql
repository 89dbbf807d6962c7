-- Every object that is in the bucket, or may be: its row is written before the object is, and stays when the object is gone.
-- Whoever deletes or moves objects finds them here.

create table objects (
    meeting_id uuid not null,
    key text not null,
    tenant_id uuid not null,
    recording_id uuid not null,              -- it may have no row yet, or none any more
    kind text not null check (kind in ('segment', 'block', 'track', 'mix', 'derived')),
    participants uuid[] not null,            -- who is heard in it
    storage_tier text not null default 'hot' check (storage_tier in ('hot', 'warm', 'cold', 'archive')),
    -- planned: it may be there, whole or in parts. going: nobody needs it, and it may still be there.
    state text not null default 'planned' check (state in ('planned', 'stored', 'going', 'deleted')),
    version text,                            -- the store's own name of what was written last, if it keeps versions
    size_bytes bigint,
    sha256 text,
    uploading boolean not null default true, -- somebody stores it, or died doing so
    noted_at timestamptz not null default clock_timestamp(), -- before its last upload
    stored_at timestamptz,
    deleted_at timestamptz,
    primary key (meeting_id, key)
) partition by hash (meeting_id);

do $$
begin
    for n in 0..15 loop
        execute format('create table %I partition of objects for values with (modulus 16, remainder %s)',
                       'objects_' || lpad(n::text, 2, '0'), n);
    end loop;
end $$;

-- false: it was recorded before this table was there, so that objects may exist of which nothing tells.
alter table meetings add column inventoried boolean not null default true;

-- The owner sees no rows of its own tables while their policies are forced on it, too.
alter table meetings no force row level security;
alter table recordings no force row level security;
alter table recording_segments no force row level security;
alter table jobs no force row level security;

update meetings set inventoried = false where start_time is not null;

insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, state, size_bytes, sha256,
                     uploading, noted_at, stored_at, deleted_at)
select s.meeting_id, s.object_key, s.tenant_id, s.recording_id, 'segment',
       coalesce((select array[r.participant_id] from recordings r where r.id = s.recording_id and r.participant_id is not null), '{}'),
       case when gone then 'deleted' when s.state = 'merged' then 'going' else 'stored' end, s.size_bytes, s.sha256,
       false, s.created_at, s.created_at, case when gone then clock_timestamp() end
from recording_segments s,
     -- What is in a track was deleted when the cleaning job was through.
     lateral (select s.state = 'merged' and exists
         (select from jobs j where j.subject = s.meeting_id and j.kind = 'clean' and j.state = 'done') as gone) as cleaned
on conflict do nothing;

insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, storage_tier, state, size_bytes, sha256,
                     uploading, noted_at, stored_at, deleted_at)
select r.meeting_id, regexp_replace(r.blob_url, '^s3://[^/]*/', ''), r.tenant_id, r.id, r.kind,
       case when r.kind = 'track' then array_remove(array[r.participant_id], null)
            else coalesce((select array_agg(distinct t.participant_id order by t.participant_id) from recordings t
                           where t.meeting_id = r.meeting_id and t.kind = 'track' and t.participant_id is not null), '{}') end,
       r.storage_tier, case when r.deleted_at is null then 'stored' else 'deleted' end, r.size_bytes, r.sha256,
       false, r.created_at, r.created_at, r.deleted_at
from recordings r where r.blob_url is not null
on conflict do nothing;

alter table meetings force row level security;
alter table recordings force row level security;
alter table recording_segments force row level security;
alter table jobs force row level security;

alter table objects enable row level security;
alter table objects force row level security;
create policy tenant on objects to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on objects to hansard_worker using (true);
create policy named on objects as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on objects to hansard_app, hansard_worker;
