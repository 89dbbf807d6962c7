-- Words of which no sound was kept.
alter table transcript_gaps
    drop constraint transcript_gaps_reason_check,
    add constraint transcript_gaps_reason_check
        check (reason in ('lost', 'interrupted', 'undecoded', 'not_stored'));

-- How much of its work a job has done, 0 to 1, where it can say.
alter table jobs add column progress real;
