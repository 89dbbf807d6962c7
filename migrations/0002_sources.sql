-- Where streams' media comes from and goes to: told sources, followed sources, and ports that outlive their streams.

alter table streams alter column ssrc drop not null;         -- null: whatever the sender uses
alter table streams add column heard_ssrc bigint;            -- of the media that came last
alter table streams add column relatch boolean not null default false;
alter table streams add column media text not null default 'waiting'
    check (media in ('waiting', 'receiving', 'stalled'));    -- as last told
alter table streams add column media_reason text;            -- why it is stalled

-- A new stream of one participant, kind and source takes the place of the one before, with the same SSRC too.
drop index streams_ssrc;
create index streams_ssrc on streams (meeting_id, ssrc) where state <> 'closed';

-- Ports that media may come to. A row stays after its stream, until nothing came to the port for a while; before that no
-- other stream gets it, from no process.
create table rtp_ports (
    node text not null,
    port integer not null,
    tenant_id uuid not null,
    meeting_id uuid not null,
    stream_id uuid not null,
    since timestamptz not null default clock_timestamp(),
    primary key (node, port)
);

-- Whose media came from where to which port: nobody else's stream takes it from there, for a day.
create table rtp_sources (
    node text not null,
    port integer not null,
    source text not null,                    -- ip:port
    participant_id uuid not null,
    tenant_id uuid not null,
    meeting_id uuid not null,
    at timestamptz not null default clock_timestamp(),
    primary key (node, port, source, participant_id)
);

do $$
declare
    t text;
begin
    foreach t in array array['rtp_ports', 'rtp_sources'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy tenant on %I to hansard_app using '
                       '(tenant_id = nullif(current_setting(''app.tenant'', true), '''')::uuid)', t);
        execute format('create policy everyone on %I to hansard_worker using (true)', t);
        execute format('grant select, insert, update, delete on %I to hansard_app, hansard_worker', t);
    end loop;
end $$;
