-- Whether a transcript was transcribed once more after the end; null where that is not asked for.
alter table transcripts
    add column refined text check (refined in ('pending', 'running', 'done', 'failed'));
