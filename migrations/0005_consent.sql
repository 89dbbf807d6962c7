-- What each participant last said, beside the log: who is there is read often, and must not cost more with every entry.
alter table participants
    add column recording text check (recording in ('accepted', 'declined', 'withdrawn')),
    add column recording_entry bigint,
    add column transcription text check (transcription in ('accepted', 'declined', 'withdrawn')),
    add column transcription_entry bigint,
    add column grants integer not null default 0,  -- accepted entries
    add column link_id uuid references links;      -- the link that a guest came by

create index participants_link on participants (meeting_id, link_id) where removed = 'request';

-- The owner of the tables is held to their policies, too, and none of them is for it.
alter table participants no force row level security;
alter table consent_log no force row level security;
update participants p set
    (recording, recording_entry) =
        (select c.status, c.entry from consent_log c
         where c.meeting_id = p.meeting_id and c.participant_id = p.id and 'recording' = any(c.purposes)
         order by c.entry desc limit 1),
    (transcription, transcription_entry) =
        (select c.status, c.entry from consent_log c
         where c.meeting_id = p.meeting_id and c.participant_id = p.id and 'transcription' = any(c.purposes)
         order by c.entry desc limit 1),
    grants = (select count(*) from consent_log c
              where c.meeting_id = p.meeting_id and c.participant_id = p.id and c.status = 'accepted');
alter table participants force row level security;
alter table consent_log force row level security;

-- A refusal that was said earlier than its entry says: the same words were received by several processes, and the one
-- that received them first wrote them last. The entry stands as it is; from here on it cuts.
create table consent_cuts (
    meeting_id uuid not null,
    entry bigint not null,
    tenant_id uuid not null,
    timestamp timestamptz not null,
    primary key (meeting_id, entry),
    foreign key (meeting_id, entry) references consent_log (meeting_id, entry)
);
alter table consent_cuts enable row level security;
alter table consent_cuts force row level security;
create policy tenant on consent_cuts to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on consent_cuts to hansard_worker using (true);
grant select, insert, update, delete on consent_cuts to hansard_app, hansard_worker;
