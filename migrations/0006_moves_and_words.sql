-- Where each stream is received, as clients were told: with another worker it is another address.
alter table streams add column ip text;

-- What was said with consent to transcription and is not in the transcript, yet or for good.
create table transcript_gaps (
    meeting_id uuid not null,
    id uuid not null,
    tenant_id uuid not null,
    participant_id uuid not null,
    start_us bigint not null,                -- MeetingTime
    end_us bigint not null,
    search_us bigint not null,               -- from here on it is looked for in what was recorded
    reason text not null check (reason in ('lost', 'interrupted', 'undecoded')),
    primary key (meeting_id, id),
    foreign key (meeting_id, participant_id) references participants (meeting_id, id)
) partition by hash (meeting_id);

do $$
begin
    for n in 0..15 loop
        execute format('create table %I partition of transcript_gaps for values with (modulus 16, remainder %s)',
                       'transcript_gaps_' || lpad(n::text, 2, '0'), n);
    end loop;
end $$;
alter table transcript_gaps enable row level security;
alter table transcript_gaps force row level security;
create policy tenant on transcript_gaps to hansard_app using
    (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
create policy everyone on transcript_gaps to hansard_worker using (true);
grant select, insert, update, delete on transcript_gaps to hansard_app, hansard_worker;
