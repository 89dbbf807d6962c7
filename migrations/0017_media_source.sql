-- On which of a person's streams a final was heard, so that it is transcribed once more from the track of that. Null: stored
-- before this was noted.
alter table transcript_segments
    add column media_source text check (media_source in ('microphone', 'camera', 'screen'));
