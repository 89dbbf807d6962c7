-- How far the rows are in each tenant's ledger, which lies in the bucket.
create table ledger_heads (
    tenant_id uuid primary key,
    n bigint not null,                       -- the entry that was carried out last; 0: none
    hash text not null                       -- of its object
);
alter table ledger_heads enable row level security;
alter table ledger_heads force row level security;
create policy tenant on ledger_heads to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on ledger_heads to hansard_worker using (true);
create policy named on ledger_heads as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on ledger_heads to hansard_app, hansard_worker;

-- The ledger's entry that tells of it. Null: it is still to be written, before anything is deleted.
alter table deletions add column ledger_n bigint;

-- Which machine may have sound of which meeting. A row is there from before the first segment until the folder is gone.
create table spools (
    spool uuid not null,                     -- the data folder of a worker
    meeting_id uuid not null,
    epoch bigint not null,
    tenant_id uuid not null,
    segments integer,                        -- null: it is being written, or its worker died
    noted_at timestamptz not null default clock_timestamp(),
    primary key (meeting_id, spool, epoch)
);
create index spools_spool on spools (spool);
alter table spools enable row level security;
alter table spools force row level security;
create policy tenant on spools to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on spools to hansard_worker using (true);
create policy named on spools as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on spools to hansard_app, hansard_worker;
