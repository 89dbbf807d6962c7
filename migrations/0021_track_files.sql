-- Tracks are WebM (Opus) or WAV (PCMU, PCMA) from now on. Those that there are, Matroska, are made so by jobs.

-- The owner sees no rows of its own tables while their policies are forced on it, too.
alter table recordings no force row level security;
alter table jobs no force row level security;

update recordings set media_type = case codec when 'opus' then 'audio/webm' else 'audio/wav' end
where kind = 'track' and blob_url is null;

insert into jobs (id, tenant_id, meeting_id, subject, kind)
select gen_random_uuid(), tenant_id, meeting_id, meeting_id, 'remux'
from recordings
where kind = 'track' and status = 'ready' and media_type = 'audio/x-matroska' and deleted_at is null
group by tenant_id, meeting_id
on conflict (kind, subject) do nothing;

alter table recordings force row level security;
alter table jobs force row level security;
