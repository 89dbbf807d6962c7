-- What a holder of the meeting left in the spool of its machine and is not in storage yet. Noted when the holder ends and
-- at every look at the spool, so that a recent note says: somebody is there who will bring it.
alter table capture_epochs
    add column spooled integer not null default 0,
    add column spooled_at timestamptz;

-- What was sent and did not arrive, or could not be kept: one row each, so that a bad path does not rewrite an ever longer
-- list. They are in `recordings.gaps` once the file is made.
create table recording_losses (
    meeting_id uuid not null references meetings,
    recording_id uuid not null,
    tenant_id uuid not null,
    start_us bigint not null,
    end_us bigint not null
);
create index recording_losses_recording on recording_losses (meeting_id, recording_id);
alter table recording_losses enable row level security;
alter table recording_losses force row level security;
create policy tenant on recording_losses to hansard_app
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on recording_losses to hansard_worker using (true);
grant select, insert, update, delete on recording_losses to hansard_app, hansard_worker;
