-- How much later than its place on the timeline sound may have been made: a counter that stood still shows only a while later.
-- A withdrawal cuts by the later of both.

alter table recording_segments add column late_us bigint not null default 0;
alter table transcript_segments add column late_ms bigint not null default 0;
