-- What was recorded of it was deleted as its retention says: nothing more of it is kept.
alter table meetings add column expired boolean not null default false;
create index meetings_kept_own on meetings (end_time)
    where not expired and end_time is not null and jsonb_typeof(settings -> 'retentionDays') = 'number';
create index meetings_kept on meetings (tenant_id, end_time)
    where not expired and end_time is not null and coalesce(jsonb_typeof(settings -> 'retentionDays'), 'null') = 'null';

-- A spool that was declared destroyed: nothing will come out of it. Null: it is there, or may be.
alter table spools
    add column destroyed_at timestamptz,
    add column destroyed_by text;
alter table redactions
    add column spools_destroyed bigint not null default 0; -- of these, nobody knows what they had
