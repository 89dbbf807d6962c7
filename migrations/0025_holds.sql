-- Legal holds: while a meeting has one that is not lifted, nothing of it is deleted or taken out. These rows stay.
create table holds (
    id uuid primary key,
    meeting_id uuid not null references meetings,
    tenant_id uuid not null,
    author text not null,                    -- api_key:<id>
    reason text not null,
    placed_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
    lifted_at timestamptz,
    lifted_by text,
    lift_reason text
);
create unique index holds_current on holds (meeting_id) where lifted_at is null;
alter table holds enable row level security;
alter table holds force row level security;
create policy tenant on holds to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on holds to hansard_worker using (true);
create policy named on holds as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on holds to hansard_app, hansard_worker;
