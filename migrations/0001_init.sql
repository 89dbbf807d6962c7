-- Hansard's data model. The shard key is meeting_id: everything inside a meeting is partitioned by its hash, and keys
-- there begin with it, so that a hot query names it and touches one partition.
--
-- Two roles own nothing and bypass nothing: hansard_app sees the tenant set for the transaction (app.tenant),
-- hansard_worker sees all tenants. Pools log in as whoever the URL says and SET ROLE.

-- Roles belong to the whole server, so another database of it may be making them at this very moment.
do $$
declare
    r text;
begin
    foreach r in array array['hansard_app', 'hansard_worker'] loop
        begin
            execute format('create role %I nologin', r);
        exception when duplicate_object or unique_violation then
            null;
        end;
        if not pg_has_role(current_user, r, 'member') then
            execute format('grant %I to %I', r, current_user);
        end if;
    end loop;
end $$;

create table tenants (
    id uuid primary key,
    name text not null unique,
    tier_days jsonb,
    created_at timestamptz not null default clock_timestamp()
);

create table api_keys (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    hash bytea not null unique,              -- SHA-256 of the whole key
    hint text not null,                      -- its first characters, to tell keys apart
    created_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz
);

create table users (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    email text,                              -- null for a guest
    display_name text not null,
    created_at timestamptz not null default clock_timestamp()
);
create unique index users_email on users (tenant_id, lower(email));

create table session_codes (
    hash bytea primary key,
    tenant_id uuid not null references tenants,
    user_id uuid not null references users,
    session_expires_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz
);

create table meetings (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    host_id uuid not null references users,
    status text not null default 'scheduled' check (status in ('scheduled', 'live', 'ended')),
    scheduled_time timestamptz,
    start_time timestamptz,
    end_time timestamptz,
    settings jsonb not null,
    password_hash text,
    created_at timestamptz not null default clock_timestamp(),
    list_time timestamptz not null generated always as (coalesce(start_time, scheduled_time, created_at)) stored
);
create index meetings_host_start on meetings (host_id, start_time);
create index meetings_host_list on meetings (host_id, list_time desc, id desc);
create index meetings_tenant_list on meetings (tenant_id, list_time desc, id desc);

-- One narrow row per meeting that everything with an order takes its number from, under this row's lock.
create table meeting_heads (
    meeting_id uuid primary key references meetings,
    tenant_id uuid not null,
    seq bigint not null default 0,           -- last durable event
    consent_entry bigint not null default 0, -- last entry of the ConsentLog
    consent_hash text not null,              -- its hash (genesis before the first)
    roster bigint not null default 0         -- counts changes of who is present, of streams asked for, and the end
);

-- Wrong passwords in the minute that began with the first of them.
create table password_tries (
    meeting_id uuid not null references meetings,
    credential text not null,
    tenant_id uuid not null,
    since timestamptz not null,
    tries integer not null,
    primary key (meeting_id, credential)
);

create table links (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    meeting_id uuid not null references meetings,
    role text not null check (role in ('host', 'participant')),
    hash bytea not null unique,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null default clock_timestamp()
);

create table participants (
    meeting_id uuid not null references meetings,
    id uuid not null,
    tenant_id uuid not null,
    user_id uuid not null references users,
    role text not null check (role in ('host', 'participant')),
    joined_at timestamptz,                   -- first became present
    left_at timestamptz,                     -- last ceased to be
    present boolean not null default false,
    removed text check (removed in ('request', 'required')),
    tokens_from timestamptz,                 -- its last removal: join and resume tokens minted before are void
    joined_seq bigint,                       -- the event of its first join; nothing before it is replayed to it
    sockets bigint not null default 0,       -- counts its sockets; the highest number replaces the others
    primary key (meeting_id, id),
    unique (meeting_id, user_id)
) partition by hash (meeting_id);

create table participant_visits (
    meeting_id uuid not null,
    participant_id uuid not null,
    n integer not null,
    tenant_id uuid not null,
    joined_at timestamptz not null,
    left_at timestamptz,
    primary key (meeting_id, participant_id, n),
    foreign key (meeting_id, participant_id) references participants (meeting_id, id)
) partition by hash (meeting_id);

create table consent_log (
    meeting_id uuid not null,
    entry bigint not null,
    id uuid not null,
    tenant_id uuid not null,
    participant_id uuid not null,
    consent_type text not null check (consent_type in ('recording', 'transcription', 'recording_ai')),
    purposes text[] not null,
    status text not null check (status in ('accepted', 'declined', 'withdrawn')),
    accepted boolean not null generated always as (status = 'accepted') stored,
    actor text not null,
    statement text,
    timestamp timestamptz not null,          -- milliseconds; a withdrawal's receipt
    prev_hash text not null,
    hash text not null,
    primary key (meeting_id, entry),
    unique (meeting_id, id),
    unique (meeting_id, prev_hash),
    foreign key (meeting_id, participant_id) references participants (meeting_id, id)
) partition by hash (meeting_id);

create table streams (
    meeting_id uuid not null,
    id uuid not null,
    tenant_id uuid not null,
    participant_id uuid not null,
    kind text not null,
    source text not null,
    codec text not null,
    payload_type integer not null,
    clock_rate integer not null,
    ssrc bigint not null,
    remote text,                             -- ip:port told by the client
    latched text,                            -- ip:port that media came from
    port integer,
    srtp_suite text,
    srtp_sealed bytea,                       -- master keys and salt, sealed
    rollover bigint not null default 0,      -- SRTP rollover counter, saved now and then
    state text not null default 'asked' check (state in ('asked', 'open', 'closed')),
    reason text,
    created_at timestamptz not null default clock_timestamp(),
    closed_at timestamptz,
    primary key (meeting_id, id),
    foreign key (meeting_id, participant_id) references participants (meeting_id, id)
) partition by hash (meeting_id);
create unique index streams_ssrc on streams (meeting_id, ssrc) where state <> 'closed';
create index streams_open on streams (meeting_id, participant_id) where state <> 'closed';

create table meeting_events (
    meeting_id uuid not null,
    seq bigint not null,
    tenant_id uuid not null,
    type text not null,
    ref uuid,                                -- the transcript segment, for transcript_update
    data jsonb,                              -- the event's data otherwise
    at timestamptz not null default clock_timestamp(),
    primary key (meeting_id, seq)
) partition by hash (meeting_id);

create index meeting_events_state on meeting_events (meeting_id, seq) where type = 'recording_state';

create table recordings (
    id uuid primary key,
    tenant_id uuid not null,
    meeting_id uuid not null references meetings,
    kind text not null check (kind in ('mix', 'track')),
    participant_id uuid,
    source text,
    codec text,
    media_type text not null,
    blob_url text,                           -- s3://bucket/key
    start_ms bigint not null,
    duration_ms bigint,
    duration_seconds integer generated always as (round(duration_ms / 1000.0)::integer) stored,
    gaps jsonb not null default '[]',
    storage_tier text not null default 'hot' check (storage_tier in ('hot', 'warm', 'cold', 'archive')),
    status text not null default 'recording'
        check (status in ('recording', 'processing', 'ready', 'failed', 'deleting')),
    progress real,
    error text,
    size_bytes bigint,
    sha256 text,
    revision integer not null default 1,
    created_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz,
    foreign key (meeting_id, participant_id) references participants (meeting_id, id)
);
create index recordings_meeting on recordings (meeting_id);
create unique index recordings_track on recordings (meeting_id, participant_id, source, codec) where kind = 'track';
create unique index recordings_mix on recordings (meeting_id) where kind = 'mix';

create table recording_segments (
    meeting_id uuid not null,
    recording_id uuid not null,
    epoch bigint not null,
    n integer not null,
    tenant_id uuid not null,
    start_us bigint not null,                -- MeetingTime of the first sample
    end_us bigint not null,                  -- and after the last
    consent_entry bigint not null,
    object_key text not null,
    size_bytes bigint not null,
    sha256 text not null,
    state text not null default 'stored' check (state in ('stored', 'merged')),
    created_at timestamptz not null default clock_timestamp(),
    primary key (meeting_id, recording_id, epoch, n),
    foreign key (meeting_id, consent_entry) references consent_log (meeting_id, entry)
) partition by hash (meeting_id);

create table transcripts (
    meeting_id uuid not null primary key references meetings,
    tenant_id uuid not null,
    language text,
    complete boolean not null default false
) partition by hash (meeting_id);

create table transcript_segments (
    meeting_id uuid not null,
    id uuid not null,
    tenant_id uuid not null,
    participant_id uuid not null,
    start_ms bigint not null,
    end_ms bigint not null,
    language text,
    text text not null,
    words jsonb not null,
    revision integer not null,
    epoch bigint not null,
    consent_entry bigint not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (meeting_id, id),
    foreign key (meeting_id, participant_id) references participants (meeting_id, id),
    foreign key (meeting_id, consent_entry) references consent_log (meeting_id, entry)
) partition by hash (meeting_id);
create index transcript_segments_time on transcript_segments (meeting_id, start_ms);

create table jobs (
    id uuid primary key,
    tenant_id uuid not null,
    meeting_id uuid not null references meetings,
    kind text not null check (kind in ('capture', 'mix', 'recover', 'tier', 'clean')),
    state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    owner uuid,                              -- the worker process that holds the lease
    epoch bigint not null default 0,         -- rises with every claim
    lease_until timestamptz,
    run_at timestamptz not null default clock_timestamp(),
    payload jsonb not null default '{}',
    error text,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    unique (meeting_id, kind)
);
create index jobs_open on jobs (kind, run_at) where state in ('queued', 'running');

-- When each holder of a meeting listened: the time between is nobody's, and told as lost.
create table capture_epochs (
    meeting_id uuid not null references meetings,
    epoch bigint not null,
    tenant_id uuid not null,
    began_at timestamptz not null default clock_timestamp(),
    alive_at timestamptz not null default clock_timestamp(), -- the last renewal of its lease
    primary key (meeting_id, epoch)
);

create table idempotency_keys (
    tenant_id uuid not null references tenants,
    route text not null,
    key text not null,
    body_hash bytea not null,
    status integer,                          -- null: the effect is committed, its answer is not kept or not known yet
    response jsonb,
    existing_id uuid,                        -- what the first request made
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, route, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);

do $$
declare
    t text;
begin
    foreach t in array array['participants', 'participant_visits', 'consent_log', 'streams', 'meeting_events',
                             'recording_segments', 'transcripts', 'transcript_segments'] loop
        for n in 0..15 loop
            execute format('create table %I partition of %I for values with (modulus 16, remainder %s)',
                           t || '_' || lpad(n::text, 2, '0'), t, n);
        end loop;
    end loop;

    foreach t in array array['users', 'session_codes', 'meetings', 'meeting_heads', 'links', 'participants',
                             'participant_visits', 'consent_log', 'streams', 'meeting_events', 'recordings',
                             'recording_segments', 'transcripts', 'transcript_segments', 'jobs', 'capture_epochs',
                             'password_tries', 'idempotency_keys'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant on %I to hansard_app using '
                       '(tenant_id = nullif(current_setting(''app.tenant'', true), '''')::uuid)', t);
        execute format('create policy everyone on %I to hansard_worker using (true)', t);
        execute format('grant select, insert, update, delete on %I to hansard_app, hansard_worker', t);
    end loop;
end $$;

-- Whose link or code a secret is comes to light before the tenant is known: who names its hash may see that row.
create policy holder on links for select to hansard_app
    using (hash = decode(nullif(current_setting('app.secret', true), ''), 'hex'));
create policy holder on session_codes for select to hansard_app
    using (hash = decode(nullif(current_setting('app.secret', true), ''), 'hex'));

grant select on tenants to hansard_app, hansard_worker;
grant select on api_keys to hansard_app, hansard_worker;

-- The ConsentLog only grows.
revoke update, delete on consent_log from hansard_app, hansard_worker;
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'consent_log is append-only';
end $$;
create trigger consent_log_rows before update or delete on consent_log
    for each row execute function refuse_change();
create trigger consent_log_all before truncate on consent_log
    for each statement execute function refuse_change();
-- A statement trigger of the parent does not fire for a partition named directly.
do $$
begin
    for n in 0..15 loop
        execute format('create trigger consent_log_all before truncate on %I for each statement execute function refuse_change()',
                       'consent_log_' || lpad(n::text, 2, '0'));
    end loop;
end $$;
