//! Ports that outlive their streams, and sources that are somebody's. Of one node (`rtp.publicIp`);
//! all tenants'.

use super::Result;
use crate::domain::{
    id::{MeetingId, ParticipantId, StreamId},
    source::Owner,
    stream::{MediaKind, MediaSource},
};
use sqlx::{PgConnection, types::Text};
use std::{collections::BTreeSet, net::SocketAddr};
use uuid::Uuid;

/// How long a source is remembered.
const SOURCES_KEPT: &str = "24 hours";

/// Ports that another stream has, or had until not long ago.
pub async fn held(
    conn: &mut PgConnection,
    node: &str,
    by_others_than: StreamId,
) -> Result<BTreeSet<u16>> {
    let ports: Vec<i32> =
        sqlx::query_scalar("select port from rtp_ports where node = $1 and stream_id <> $2")
            .bind(node)
            .bind(by_others_than.0)
            .fetch_all(conn)
            .await?;
    Ok(numbers(ports))
}

/// Ports that streams of this meeting have or had until not long ago, each with its stream and
/// whose that is.
pub async fn owned(
    conn: &mut PgConnection,
    node: &str,
    meeting: MeetingId,
) -> Result<Vec<(u16, StreamId, Owner)>> {
    type Row = (i32, Uuid, Uuid, Text<MediaKind>, Text<MediaSource>);
    let rows: Vec<Row> = sqlx::query_as(
        "select r.port, s.id, s.participant_id, s.kind, s.source
         from rtp_ports r join streams s on s.meeting_id = r.meeting_id and s.id = r.stream_id
         where r.node = $1 and r.meeting_id = $2",
    )
    .bind(node)
    .bind(meeting.0)
    .fetch_all(conn)
    .await?;
    let owned = |(port, stream, participant, kind, source): Row| {
        let owner = Owner {
            participant: ParticipantId(participant),
            kind: kind.0,
            source: source.0,
        };
        Some((u16::try_from(port).ok()?, StreamId(stream), owner))
    };
    Ok(rows.into_iter().filter_map(owned).collect())
}

/// Sources of others, each with the port that it sent to.
pub async fn foreign(
    conn: &mut PgConnection,
    node: &str,
    participant: ParticipantId,
) -> Result<Vec<(u16, SocketAddr)>> {
    let rows: Vec<(i32, String)> = sqlx::query_as(
        "select port, source from rtp_sources where node = $1 and participant_id <> $2",
    )
    .bind(node)
    .bind(participant.0)
    .fetch_all(conn)
    .await?;
    let known =
        |(port, source): (i32, String)| Some((u16::try_from(port).ok()?, source.parse().ok()?));
    Ok(rows.into_iter().filter_map(known).collect())
}

/// Ports whose stream is over, or goes on elsewhere.
pub async fn left(conn: &mut PgConnection, node: &str) -> Result<BTreeSet<u16>> {
    let ports: Vec<i32> = sqlx::query_scalar(
        "select r.port from rtp_ports r where r.node = $1 and not exists (
             select 1 from streams s where s.meeting_id = r.meeting_id and s.id = r.stream_id
                 and s.state <> 'closed' and s.ip = r.node and s.port = r.port)",
    )
    .bind(node)
    .fetch_all(conn)
    .await?;
    Ok(numbers(ports))
}

/// The port was quiet for long enough: anybody may have it, unless its stream lives. Who sent to it
/// until then is not whoever gets it next.
pub async fn rested(
    conn: &mut PgConnection,
    node: &str,
    port: u16,
    senders: &[String],
) -> Result<()> {
    sqlx::query(
        "with gone as (
             delete from rtp_ports r where r.node = $1 and r.port = $2 and not exists (
                 select 1 from streams s where s.meeting_id = r.meeting_id and s.id = r.stream_id
                     and s.state <> 'closed' and s.ip = r.node and s.port = r.port)
             returning r.node, r.port, r.tenant_id, r.meeting_id, r.stream_id)
         insert into rtp_sources (node, port, source, participant_id, tenant_id, meeting_id)
         select g.node, g.port, f.source, s.participant_id, g.tenant_id, g.meeting_id
         from gone g join streams s on s.meeting_id = g.meeting_id and s.id = g.stream_id, unnest($3::text[]) f(source)
         on conflict (node, port, source, participant_id) do update set at = clock_timestamp()",
    )
    .bind(node)
    .bind(i32::from(port))
    .bind(senders)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes whose the port is.
pub async fn hold(
    conn: &mut PgConnection,
    meeting: MeetingId,
    stream: StreamId,
    node: &str,
    port: u16,
) -> Result<()> {
    sqlx::query(
        "insert into rtp_ports (node, port, tenant_id, meeting_id, stream_id)
         select $3, $4, tenant_id, meeting_id, id from streams where meeting_id = $1 and id = $2
         on conflict (node, port) do update set tenant_id = excluded.tenant_id, meeting_id = excluded.meeting_id,
             stream_id = excluded.stream_id, since = clock_timestamp()",
    )
    .bind(meeting.0)
    .bind(stream.0)
    .bind(node)
    .bind(i32::from(port))
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the stream's media comes from there, to the port that it has.
pub(super) async fn know(
    conn: &mut PgConnection,
    meeting: MeetingId,
    stream: StreamId,
    source: &str,
) -> Result<()> {
    sqlx::query(
        "insert into rtp_sources (node, port, source, participant_id, tenant_id, meeting_id)
         select ip, port, $3, participant_id, tenant_id, meeting_id from streams
         where meeting_id = $1 and id = $2 and ip is not null and port is not null
         on conflict (node, port, source, participant_id) do update set at = clock_timestamp()",
    )
    .bind(meeting.0)
    .bind(stream.0)
    .bind(source)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets sources that had their time.
pub async fn forget(conn: &mut PgConnection) -> Result<()> {
    sqlx::query("delete from rtp_sources where at < clock_timestamp() - $1::interval")
        .bind(SOURCES_KEPT)
        .execute(conn)
        .await?;
    Ok(())
}

fn numbers(ports: Vec<i32>) -> BTreeSet<u16> {
    ports
        .into_iter()
        .filter_map(|port| u16::try_from(port).ok())
        .collect()
}
