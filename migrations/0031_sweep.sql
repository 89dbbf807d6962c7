-- Which bucket is this database's, and what was found there that no row tells of. Of no tenant.
create table deployment (
    one boolean primary key default true check (one), -- there is one row
    id uuid not null default gen_random_uuid(), -- the bucket's mark names it
    sweeps bigint not null default 0,        -- the mark has the same number, or a lower one
    marked_in text,                          -- the bucket that was marked
    due_at timestamptz,                      -- when it is swept again; null: now
    swept_at timestamptz,
    held text                                -- why nothing was deleted the last time
);
insert into deployment default values;
grant select, update on deployment to hansard_worker;

create table unknown_objects (
    key text primary key,
    meeting_id uuid,                         -- null: of no meeting
    tag text,                                -- the store's name of its content
    size_bytes bigint not null,
    first_seen_at timestamptz not null,
    sweep bigint not null                    -- the last that saw it
);
grant select, insert, update, delete on unknown_objects to hansard_worker;
