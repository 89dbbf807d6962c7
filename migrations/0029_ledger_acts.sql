-- The ledger's entries that tell of redactions, erasures and holds. Null: not accepted yet, or still to be written.
alter table redactions
    add column ledger_n bigint,
    -- Of what was told last: the hash of the files that are there, and the keys of the objects that go.
    add column told_files text,
    add column told_objects text[] not null default '{}';
create index redactions_unwritten on redactions (meeting_id)
    where ledger_n is null and state not in ('asked', 'declined');
alter table erasures add column ledger_n bigint;
alter table holds
    add column ledger_n bigint,
    add column lift_ledger_n bigint;
create index holds_unwritten on holds (meeting_id)
    where ledger_n is null or (lifted_at is not null and lift_ledger_n is null);
