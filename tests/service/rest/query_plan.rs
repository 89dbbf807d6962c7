//! How Postgres runs what is asked often: one partition per hot query, lists by an index.

use super::app::App;
use hansard::store::{self, meeting};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// The partitions, and the tables scanned as a whole, in a plan.
fn scans(plan: &Value, found: &mut Vec<(String, String)>) {
    if let (Some(node), Some(table)) = (plan["Node Type"].as_str(), plan["Relation Name"].as_str())
    {
        found.push((node.to_owned(), table.to_owned()));
    }
    for child in plan["Plans"].as_array().into_iter().flatten() {
        scans(child, found);
    }
}

#[tokio::test]
async fn every_hot_query_touches_one_partition() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    app.join(meeting, ana).await;
    let id = format!("'{}'::uuid", meeting.0);
    let nobody = format!("'{}'::uuid", Uuid::nil());
    for (name, sql, arguments) in store::HOT_QUERIES {
        let mut sql = sql.to_string();
        // Literals in the place of parameters give the plan that Postgres makes for these very
        // values.
        for (n, argument) in arguments.iter().enumerate().rev() {
            let value = match *argument {
                "meeting" => &id,
                "id" => &nobody,
                other => other,
            };
            sql = sql.replace(&format!("${}", n + 1), value);
        }
        let mut tx = app.tenant_tx().await;
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(format!("explain (format json) {sql}")))
            .fetch_one(&mut *tx)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}\n{sql}"));
        let mut found = Vec::new();
        scans(&plan[0]["Plan"], &mut found);
        let mut partitions: Vec<&str> = found
            .iter()
            .map(|(_, table)| table.as_str())
            .filter(|table| {
                table
                    .rsplit('_')
                    .next()
                    .is_some_and(|end| end.len() == 2 && end.parse::<u8>().is_ok())
            })
            .collect();
        partitions.sort_unstable();
        partitions.dedup();
        // One partition of each partitioned table named.
        let mut parents: Vec<&str> = partitions
            .iter()
            .map(|name| &name[..name.len() - 3])
            .collect();
        parents.dedup();
        assert!(
            !partitions.is_empty(),
            "{name} touches no partitioned table: {found:?}"
        );
        assert_eq!(parents.len(), partitions.len(), "{name}: {partitions:?}");
    }
}

#[tokio::test]
async fn the_lists_of_meetings_have_indexes_in_their_order() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    for _ in 0..3 {
        app.meeting(ana).await;
    }
    for (sql, index) in [
        (meeting::LIST_OF_HOST, "meetings_tenant_host_list"),
        (meeting::LIST_OF_TENANT, "meetings_tenant_list"),
    ] {
        let mut tx = app.tenant_tx().await;
        sqlx::query("set local enable_seqscan = off")
            .execute(&mut *tx)
            .await
            .expect("set");
        sqlx::query("set local enable_sort = off")
            .execute(&mut *tx)
            .await
            .expect("set");
        let sql = sql
            .replace("$1", &format!("'{}'::uuid", app.tenant))
            .replace("$7", &format!("'{ana}'::uuid"))
            .replace("$2", "'9999-01-01'::timestamptz")
            .replace("$3", &format!("'{}'::uuid", Uuid::max()))
            .replace("$4", "null")
            .replace("$5", "null")
            .replace("$6", "51");
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(format!("explain (format json) {sql}")))
            .fetch_one(&mut *tx)
            .await
            .expect("a plan");
        let plan = plan.to_string();
        assert!(plan.contains(index) && !plan.contains("\"Sort\""), "{plan}");
    }
}

#[tokio::test]
async fn partitions_are_sixteen() {
    let app = App::start().await;
    for table in [
        "participants",
        "participant_visits",
        "consent_log",
        "streams",
        "meeting_events",
        "recording_states",
        "recording_segments",
        "transcripts",
        "transcript_segments",
    ] {
        let partitions: i64 = sqlx::query_scalar(
            "select count(*) from pg_inherits where inhparent = $1::text::regclass",
        )
        .bind(table)
        .fetch_one(&mut app.sql().await)
        .await
        .expect("Postgres answers");
        assert_eq!(partitions, 16, "{table}");
    }
}
