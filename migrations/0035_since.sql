-- Since when each participant says what it says, so that whoever comes late is told, too. The same said again changes
-- nothing of it.
alter table participants
    add column recording_since timestamptz,
    add column transcription_since timestamptz;

-- The owner of the tables is held to their policies, too, and none of them is for it.
alter table participants no force row level security;
alter table consent_log no force row level security;
update participants p set
    recording_since =
        (select min(c.timestamp) from consent_log c
         where c.meeting_id = p.meeting_id and c.participant_id = p.id and 'recording' = any(c.purposes)
           and c.entry > (select coalesce(max(o.entry), 0) from consent_log o
                          where o.meeting_id = p.meeting_id and o.participant_id = p.id
                            and 'recording' = any(o.purposes) and o.status <> p.recording)),
    transcription_since =
        (select min(c.timestamp) from consent_log c
         where c.meeting_id = p.meeting_id and c.participant_id = p.id and 'transcription' = any(c.purposes)
           and c.entry > (select coalesce(max(o.entry), 0) from consent_log o
                          where o.meeting_id = p.meeting_id and o.participant_id = p.id
                            and 'transcription' = any(o.purposes) and o.status <> p.transcription))
where p.recording is not null or p.transcription is not null;
alter table participants force row level security;
alter table consent_log force row level security;
