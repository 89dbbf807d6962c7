-- A meeting's events are kept until 24 hours after its end. What is made from them later (pauses are gaps of files) has a table
-- of its own.

alter table meetings add column events_kept boolean not null default true; -- false: deleted, and none came since
create index meetings_events_kept on meetings (end_time) where events_kept and end_time is not null;

create table recording_states (
    meeting_id uuid not null,
    seq bigint not null,                     -- of the event that told it
    tenant_id uuid not null,
    state text not null,
    at timestamptz not null,
    primary key (meeting_id, seq)
) partition by hash (meeting_id);

do $$
begin
    for n in 0..15 loop
        execute format('create table %I partition of recording_states for values with (modulus 16, remainder %s)',
                       'recording_states_' || lpad(n::text, 2, '0'), n);
    end loop;
end $$;

-- The owner sees no rows of its own tables while their policies are forced on it, too.
alter table meeting_events no force row level security;
insert into recording_states (meeting_id, seq, tenant_id, state, at)
select meeting_id, seq, tenant_id, data ->> 'state', at from meeting_events
where type = 'recording_state' and data ->> 'state' is not null;
alter table meeting_events force row level security;

alter table recording_states enable row level security;
alter table recording_states force row level security;
create policy tenant on recording_states to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on recording_states to hansard_worker using (true);
grant select, insert, update, delete on recording_states to hansard_app, hansard_worker;
create policy named on recording_states as restrictive to hansard_worker using (
    nullif(current_setting('app.tenant', true), '') is null
    or tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
