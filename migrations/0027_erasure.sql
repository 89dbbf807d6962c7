-- People who are to be erased. Their rows stay, without a name: what was erased, when and why.

create table erasures (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    user_id uuid not null unique references users,
    reason text not null,
    author text not null,                    -- api_key:<id>
    asked_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
    statements_kept integer not null default 0, -- whose text is in the chain of the ConsentLog
    completed_at timestamptz
);
alter table erasures enable row level security;
alter table erasures force row level security;
create policy tenant on erasures to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on erasures to hansard_worker using (true);
create policy named on erasures as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on erasures to hansard_app, hansard_worker;

alter table users add column erased_at timestamptz;              -- its tokens and sessions are void
create index participants_user on participants (user_id);

-- Statements stand beside the ConsentLog, which has a salted hash of them, so that they can go.
alter table consent_log
    add column version smallint not null default 1,
    add column statement_hash text;
create table consent_statements (
    meeting_id uuid not null,
    entry bigint not null,
    tenant_id uuid not null,
    salt text not null,
    statement text not null,
    primary key (meeting_id, entry)
);
alter table consent_statements enable row level security;
alter table consent_statements force row level security;
create policy tenant on consent_statements to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on consent_statements to hansard_worker using (true);
create policy named on consent_statements as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on consent_statements to hansard_app, hansard_worker;
