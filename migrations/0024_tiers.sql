-- What a tenant decides for all its meetings. Who set nothing has no row.
create table tenant_settings (
    tenant_id uuid primary key references tenants,
    tier_days jsonb not null,                -- {"warm": 30, "cold": "never", "archive": "never"}
    retention_days integer check (retention_days between 1 and 36500), -- null: kept for ever
    self_erasure text not null check (self_erasure in ('auto', 'ask', 'off')),
    replan_after uuid,                       -- of its meetings, those above this id are to be looked at anew
    updated_at timestamptz not null default clock_timestamp()
);
alter table tenant_settings enable row level security;
alter table tenant_settings force row level security;
create policy tenant on tenant_settings to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on tenant_settings to hansard_worker using (true);
create policy named on tenant_settings as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on tenant_settings to hansard_app, hansard_worker;

-- It was never used.
alter table tenants drop column tier_days;

-- Files move between storage tiers, and come back from the archive for a while.

alter table objects
    add column storage_class text,           -- null: what its tier is mapped to
    add column class_since timestamptz,      -- null: since it was stored
    -- A move that began: where to. It stays until nothing of the move is left to do.
    add column moving_to text check (moving_to in ('warm', 'cold', 'archive')),
    add column move_sum text;                -- what the store will say of a copy that is made in parts

alter table recordings
    -- Of its file, or of where that is moving, if it has to be restored there; null: what its tier is mapped to.
    add column storage_class text,
    add column last_played_at timestamptz,
    add column restore_asked_at timestamptz, -- somebody asked, and it is not readable yet
    add column restore_days integer,         -- what the store is still to be asked for
    add column restore_speed text check (restore_speed in ('standard', 'bulk')),
    add column restore_until timestamptz;

-- When a meeting's files are to be looked at; null: nothing is to come.
alter table meetings add column tier_due_at timestamptz;
create index meetings_tier_due on meetings (tier_due_at) where tier_due_at is not null;

-- The owner sees no rows of its own tables while their policies are forced on it, too.
alter table meetings no force row level security;
update meetings set tier_due_at = clock_timestamp() where status = 'ended';
alter table meetings force row level security;
