-- A job's key is its kind and its subject: a meeting, a recording or a person. What kinds there are
-- says the program: a new one needs no migration.
alter table jobs
    add column subject_kind text not null default 'meeting'
        check (subject_kind in ('meeting', 'recording', 'person')),
    add column subject uuid;

-- The owner sees no rows of its own tables while their policies are forced on it, too.
alter table jobs no force row level security;
update jobs set subject = meeting_id;
alter table jobs force row level security;

alter table jobs
    alter column subject set not null,
    alter column meeting_id drop not null,   -- the meeting of the subject; a person has none
    drop constraint jobs_meeting_id_kind_key,
    add constraint jobs_key unique (kind, subject),
    drop constraint jobs_kind_check,
    add constraint jobs_kind_check check (kind ~ '^[a-z_]+$');

-- A meeting's files are two jobs: its tracks are joined, then the mix is rendered. The first makes
-- the second.
alter table jobs no force row level security;
update jobs set kind = 'join' where kind = 'mix' and state <> 'done';
alter table jobs force row level security;

-- Which tracks a mix was made of, by their SHA-256, ordered by their ids.
alter table recordings add column made_of text[] not null default '{}';
