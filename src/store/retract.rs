//! What a refusal or withdrawal takes back of what is stored, in the transaction that writes it:
//! words are gone and told as retracted, files of a meeting that is over are made anew. Sound of a
//! running meeting is its worker's to cut.

use super::{
    Result, StoreError,
    consent::Entry,
    effect::Effects,
    event, job,
    meeting::{self, Meeting},
};
use crate::domain::{
    consent::Use,
    event::{Event, Retraction},
    gate::Pass,
    id::{MeetingId, SegmentId},
    job::JobKind,
    transcript::RetractionReason,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Takes back what the entry cuts `from` then on. `until`: what lies behind that was taken back
/// before.
pub async fn behind(
    conn: &mut PgConnection,
    entry: &Entry,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
) -> Result<Effects> {
    let of = meeting::get(conn, entry.meeting)
        .await?
        .ok_or(StoreError::NotFound)?;
    let Some(start) = of.start_time else {
        return Ok(Effects::default());
    };
    let mut effects = Effects::default();
    if entry.purposes.contains(&Use::Transcription) {
        let ms = |time: DateTime<Utc>| (time - start).num_milliseconds();
        let all = of.settings.consent_policy.holds_everybody();
        let gone: Vec<(Uuid, i64)> = sqlx::query_as(WORDS)
            .bind(entry.meeting.0)
            .bind(entry.participant.0)
            .bind(entry.entry)
            .bind(ms(from))
            .bind(until.map(ms))
            .bind(all)
            .fetch_all(&mut *conn)
            .await?;
        for (segment, _) in gone {
            let gone = Event::TranscriptRetracted(Retraction {
                segment_id: SegmentId(segment),
                reason: RetractionReason::Withdrawn,
            });
            effects
                .events
                .push(event::append(conn, entry.meeting, &gone).await?);
        }
    }
    if entry.purposes.contains(&Use::Recording) && is_sound_behind(conn, &of, entry, from).await? {
        let job = job::ensure_again(conn, of.tenant(), JobKind::Join, of.id()).await?;
        effects.jobs.push((JobKind::Join, job));
    }
    Ok(effects)
}

/// Whole segments, of the participant itself; under policy `all` those of everybody, while it was
/// there.
const WORDS: &str = "with gone as (
        delete from transcript_segments s using meetings m
        where m.id = $1 and s.meeting_id = $1 and s.end_ms + s.late_ms > $4 and ($5::bigint is null or s.start_ms < $5)
          and ((s.participant_id = $2 and s.consent_entry < $3)
               or ($6 and exists (
                   select from participant_visits v where v.meeting_id = $1 and v.participant_id = $2
                      and extract(epoch from v.joined_at - m.start_time) * 1000 < s.end_ms
                      and (v.left_at is null or extract(epoch from v.left_at - m.start_time) * 1000 > s.start_ms))))
        returning s.id, s.start_ms)
    select id, start_ms from gone order by start_ms, id";

/// Whether finished files, or segments that wait to become some, hold sound of the participant
/// behind `from`; under policy `all` that of anybody, while it was there.
async fn is_sound_behind(
    conn: &mut PgConnection,
    of: &Meeting,
    entry: &Entry,
    from: DateTime<Utc>,
) -> Result<bool> {
    // While somebody captures, the end of the meeting makes the files.
    if !of.ended() || !job::is_done(conn, JobKind::Capture, of.id()).await? {
        return Ok(false);
    }
    Ok(sqlx::query_scalar(
        "select exists (
             select from recording_segments s
             join recordings r on r.id = s.recording_id and r.meeting_id = s.meeting_id
             join meetings m on m.id = s.meeting_id
             where s.meeting_id = $1 and r.deleted_at is null and r.status <> 'deleting'
               and m.start_time + make_interval(secs => (s.end_us + s.late_us) / 1e6) > $3
               and (r.participant_id = $2
                    or ($4 and exists (
                        select from participant_visits v where v.meeting_id = $1 and v.participant_id = $2
                           and v.joined_at < m.start_time + make_interval(secs => s.end_us / 1e6)
                           and (v.left_at is null or v.left_at > m.start_time + make_interval(secs => s.start_us / 1e6))))))",
    )
    .bind(of.id().0)
    .bind(entry.participant.0)
    .bind(from)
    .bind(of.settings.consent_policy.holds_everybody())
    .fetch_one(conn)
    .await?)
}

/// Whether the log refuses words of which the gate, which has applied the entries up to `applied`,
/// knows nothing: a refusal of the speaker (under policy `all`: of anybody present) that reaches
/// into them. Under the head's lock.
pub async fn is_refused(
    conn: &mut PgConnection,
    meeting: MeetingId,
    pass: &Pass,
    applied: i64,
) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select exists (
             select from consent_log c left join consent_cuts k on k.meeting_id = c.meeting_id and k.entry = c.entry
             join meetings m on m.id = c.meeting_id
             join participants p on p.meeting_id = c.meeting_id and p.id = c.participant_id
             where c.meeting_id = $1 and c.entry > $2 and not c.accepted and 'transcription' = any(c.purposes)
               and (c.participant_id = $3 or (m.settings ->> 'consentPolicy' = 'all' and p.present))
               and least(c.timestamp, k.timestamp) < m.start_time + make_interval(secs => $5))
         or exists (
             select from consent_cuts k join consent_log c on c.meeting_id = k.meeting_id and c.entry = k.entry
             join meetings m on m.id = c.meeting_id
             where k.meeting_id = $1 and 'transcription' = any(c.purposes)
               and (c.participant_id = $3 or m.settings ->> 'consentPolicy' = 'all')
               and k.timestamp < m.start_time + make_interval(secs => $5)
               and c.timestamp > m.start_time + make_interval(secs => $4))",
    )
    .bind(meeting.0)
    .bind(applied)
    .bind(pass.participant.0)
    .bind(pass.span.start.0 as f64 / 1e6)
    .bind((pass.span.end + pass.late).0 as f64 / 1e6)
    .fetch_one(conn)
    .await?)
}

/// Notes that the entry was said at `from` already.
pub async fn note_earlier(
    conn: &mut PgConnection,
    entry: &Entry,
    from: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into consent_cuts (meeting_id, entry, tenant_id, timestamp)
         select meeting_id, $2, tenant_id, $3 from meeting_heads where meeting_id = $1
         on conflict (meeting_id, entry) do update set timestamp = least(consent_cuts.timestamp, excluded.timestamp)",
    )
    .bind(entry.meeting.0)
    .bind(entry.entry)
    .bind(from)
    .execute(conn)
    .await?;
    Ok(())
}
