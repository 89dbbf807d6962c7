-- Work that waits for something that is away, and segments that will not come.

alter table jobs
    add column waiting_for text check (waiting_for in ('storage', 'database', 'disk')),
    add column waits integer not null default 0;  -- how often in a row it found that away
create index jobs_failed on jobs (kind) where state = 'failed';

alter table recording_segments drop constraint recording_segments_state_check;
alter table recording_segments
    add constraint recording_segments_state_check check (state in ('stored', 'merged', 'lost')),
    add column missing integer not null default 0, -- how often its object was not there while the storage answered
    add column missing_first timestamptz,
    add column missing_last timestamptz,
    add column error text;                         -- why it is lost
