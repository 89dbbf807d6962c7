//! The sweep: what no row tells of goes out of the bucket, and nothing else does.

use super::world::{Made, World};
use crate::support::Scratch;
use hansard::{
    domain::{
        id::{MeetingId, RecordingId},
        inventory::ObjectKind,
        sweep::{MARK, Mark, SweepHold},
        tiering::Tier,
    },
    jobs::sweep::{Report, Sweep, SweepMode},
    store::inventory::{self, Noted, Object},
};
use std::{process::Command, time::Duration};
use uuid::Uuid;

pub const FOREIGN: &str = "holidays/2026.jpg";
/// With the few objects of a test, one is more than 1 % of them.
pub const HOW: SweepMode = SweepMode {
    dry: false,
    any_number: true,
    accepts: false,
    ledger_is_current: true,
};

pub struct Yard {
    pub world: World,
    pub meeting: MeetingId,
    pub made: Made,
    pub sweep: Sweep,
}

impl Yard {
    pub async fn start() -> Self {
        let world = World::start().await;
        let meeting = world.ended(0).await;
        let made = world.file(meeting, vec![7; 50]).await;
        let sweep = Sweep {
            store: world.app.state.store.clone(),
            objects: world.bucket.objects.clone(),
            clock: world.clock.clone(),
        };
        Self {
            world,
            meeting,
            made,
            sweep,
        }
    }

    /// A key of a file of this meeting that nobody has.
    fn key(&self, meeting: Uuid) -> String {
        let tenant = self.world.app.tenant;
        format!("recordings/{tenant}/{meeting}/{}-1.webm", Uuid::now_v7())
    }

    pub async fn put(&self, key: &str, content: &str) {
        let content = content.as_bytes().to_vec();
        let objects = &self.world.bucket.objects;
        let put = objects.put_bytes(key, content, "audio/webm", Tier::Hot);
        put.await.expect("stored");
    }

    /// An object of the meeting that no row tells of.
    pub async fn lost(&self) -> String {
        let key = self.key(self.meeting.0);
        self.put(&key, "lost").await;
        key
    }

    pub async fn has(&self, key: &str) -> bool {
        let head = self.world.bucket.objects.head(key).await;
        head.expect("it answers").is_some()
    }

    pub fn pass(&self, hours: u64) {
        self.world.bucket.pass(Duration::from_secs(hours * 3600));
    }

    pub async fn run(&self, how: SweepMode) -> Report {
        self.sweep.run(how, |_| {}).await.expect("it is well")
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(&mut self.world.app.sql().await)
            .await
            .expect("it may");
    }
}

#[tokio::test]
async fn what_no_row_tells_of_goes_when_it_was_seen_for_a_day() {
    let yard = Yard::start().await;
    let tenant = yard.world.app.tenant;
    let lost = yard.lost().await;
    let orphan = yard.key(Uuid::now_v7());
    let segment = format!(
        "live/{tenant}/{}/1/{}/4-2.mkv",
        yard.meeting,
        Uuid::now_v7()
    );
    let probe = format!("probe/{}", Uuid::new_v4());
    for key in [&orphan, &segment, &probe, FOREIGN] {
        yard.put(key, "left").await;
    }
    let report = yard.run(HOW).await;
    let wanted = Report {
        objects: 5,
        others: 2,
        unknown: 4,
        unknown_bytes: 16,
        ..Report::default()
    };
    assert_eq!(report, wanted);
    yard.pass(23);
    assert_eq!(yard.run(HOW).await, wanted);
    // Another object under the key.
    yard.put(&segment, "anew").await;
    yard.pass(1);
    let report = yard.run(HOW).await;
    assert_eq!((report.due, report.deleted, report.held), (3, 3, None));
    for (key, stays) in [
        (lost.as_str(), false),
        (&orphan, false),
        (&probe, false),
        (&segment, true),
        (FOREIGN, true),
        (MARK, true),
        (&yard.made.key, true),
    ] {
        assert_eq!(yard.has(key).await, stays, "{key}");
    }
    yard.pass(24);
    assert_eq!(yard.run(HOW).await.deleted, 1);
    assert!(!yard.has(&segment).await);
    let report = yard.run(HOW).await;
    assert_eq!((report.unknown, report.deleted), (0, 0));
    yard.world.is_in(&yard.made, Tier::Hot).await;
}

#[tokio::test]
async fn nothing_goes_while_it_is_not_sure_that_the_rows_tell_all() {
    let yard = Yard::start().await;
    let lost = yard.lost().await;
    yard.run(HOW).await;
    yard.pass(25);
    let objects = &yard.world.bucket.objects;
    let refused = async |how: SweepMode, wanted: SweepHold| {
        let report = yard.run(how).await;
        assert_eq!((report.held, report.deleted), (Some(wanted), 0));
        assert!(yard.has(&lost).await, "{wanted}");
    };
    let unsure = SweepMode {
        ledger_is_current: false,
        ..HOW
    };
    refused(unsure, SweepHold::Ledger).await;
    let few = SweepMode {
        any_number: false,
        ..HOW
    };
    refused(few, SweepHold::TooMany).await;

    sqlx::query("insert into spools (spool, meeting_id, epoch, tenant_id) values ($1, $2, 1, $3)")
        .bind(Uuid::now_v7())
        .bind(yard.meeting.0)
        .bind(yard.world.app.tenant.0)
        .execute(&mut yard.world.app.sql().await)
        .await
        .expect("it may");
    refused(HOW, SweepHold::Spools).await;
    yard.sql("delete from spools").await;

    let own = objects.get_bytes(MARK).await.expect("it is marked");
    let mark: Mark = serde_json::from_slice(&own).expect("a mark");
    let other = Mark {
        deployment: Uuid::new_v4(),
        ..mark
    };
    for other in [
        serde_json::to_string(&other).expect("JSON"),
        "somebody else's".to_owned(),
    ] {
        yard.put(MARK, &other).await;
        refused(HOW, SweepHold::OtherDeployment).await;
        let accepts = SweepMode {
            accepts: true,
            ..HOW
        };
        refused(accepts, SweepHold::OtherDeployment).await;
    }
    objects.delete(MARK).await.expect("deleted");
    refused(HOW, SweepHold::MarkLost).await;
    yard.put(MARK, &String::from_utf8(own).expect("text")).await;
    // A backup was put back.
    yard.sql("update deployment set sweeps = sweeps - 1").await;
    refused(HOW, SweepHold::OlderDatabase).await;
    let report = yard
        .run(SweepMode {
            accepts: true,
            ..HOW
        })
        .await;
    assert_eq!((report.held, report.deleted), (None, 1));
    assert!(!yard.has(&lost).await);
    // It is known from then on.
    assert_eq!(yard.run(HOW).await.held, None);
}

#[tokio::test]
async fn few_of_many_objects_go_by_themselves() {
    let yard = Yard::start().await;
    for _ in 0..98 {
        yard.world.file(yard.meeting, vec![1; 9]).await;
    }
    let how = SweepMode {
        any_number: false,
        ..HOW
    };
    let lost = yard.lost().await;
    yard.run(how).await;
    yard.pass(24);
    let report = yard.run(how).await;
    assert_eq!(
        (report.objects, report.held, report.deleted),
        (100, None, 1)
    );
    assert!(!yard.has(&lost).await);
}

#[tokio::test]
async fn what_a_row_tells_of_stays_and_so_does_what_may_get_one() {
    let yard = Yard::start().await;
    let noted = yard.lost().await;
    let live = yard.world.ended(0).await;
    let old = yard.world.ended(0).await;
    let of_live = yard.key(live.0);
    let of_old = yard.key(old.0);
    for key in [&of_live, &of_old] {
        yard.put(key, "more").await;
    }
    for (sql, meeting) in [
        (
            "update meetings set end_time = null, status = 'live' where id = $1",
            live,
        ),
        ("update meetings set inventoried = false where id = $1", old),
    ] {
        sqlx::query(sql)
            .bind(meeting.0)
            .execute(&mut yard.world.app.sql().await)
            .await
            .expect("it may");
    }
    // Only the recording's row names its file.
    let named = yard.world.file(yard.meeting, vec![3; 30]).await;
    let deleted = yard.world.file(yard.meeting, vec![4; 40]).await;
    for (sql, key) in [
        ("delete from objects where key = $1", &named.key),
        (
            "update objects set state = 'deleted' where key = $1",
            &deleted.key,
        ),
    ] {
        sqlx::query(sql)
            .bind(key)
            .execute(&mut yard.world.app.sql().await)
            .await
            .expect("it may");
    }
    yard.sql("update recordings set deleted_at = clock_timestamp() where size_bytes = 40")
        .await;
    assert_eq!(yard.run(HOW).await.unknown, 2);
    yard.pass(24);
    let mut tx = yard.sweep.store.worker_tx().await.expect("answers");
    let object = Object {
        key: noted.clone(),
        tenant: yard.world.app.tenant,
        meeting: yard.meeting,
        recording: RecordingId(Uuid::now_v7()),
        kind: ObjectKind::Track,
        participants: Vec::new(),
    };
    let answer = inventory::note(&mut tx, &[object]).await.expect("noted");
    assert_eq!(answer, [Noted::Yes]);
    tx.commit().await.expect("commits");
    let report = yard.run(HOW).await;
    assert_eq!((report.unknown, report.deleted), (1, 1));
    for (key, stays) in [
        (&noted, true),
        (&of_live, true),
        (&of_old, true),
        (&named.key, true),
        (&deleted.key, false),
    ] {
        assert_eq!(yard.has(key).await, stays, "{key}");
    }
}

#[tokio::test]
async fn parts_of_uploads_that_nobody_ended_go_after_a_day() {
    let yard = Yard::start().await;
    let client = yard.world.bucket.client();
    let ours = yard.key(yard.meeting.0);
    for key in [ours.as_str(), FOREIGN] {
        let begin = client.create_multipart_upload().bucket("hansard").key(key);
        begin.send().await.expect("begun");
    }
    let left = async || -> Vec<String> {
        let listed = client
            .list_multipart_uploads()
            .bucket("hansard")
            .send()
            .await;
        let listed = listed.expect("it answers");
        let keys = listed.uploads().iter();
        keys.filter_map(|upload| upload.key().map(str::to_owned))
            .collect()
    };
    yard.pass(23);
    let report = yard.run(HOW).await;
    assert_eq!((report.uploads, left().await.len()), (0, 2));
    yard.pass(1);
    let dry = SweepMode { dry: true, ..HOW };
    let report = yard.run(dry).await;
    assert_eq!(
        (report.uploads, report.aborted, left().await.len()),
        (1, 0, 2)
    );
    let report = yard.run(HOW).await;
    assert_eq!((report.uploads, report.aborted), (1, 1));
    assert_eq!(left().await, [FOREIGN]);
}

#[tokio::test]
async fn one_process_at_a_time_sweeps_and_once_a_day() {
    let yard = Yard::start().await;
    let ledger = &yard.world.app.state.ledger;
    let sweeps = [0; 4].map(|_| yard.sweep.sweep_if_due(ledger));
    let done = futures_util::future::try_join_all(sweeps).await;
    let done = done.expect("it is well");
    assert_eq!(done.iter().flatten().count(), 1, "{done:?}");
    yard.pass(24);
    let again = yard.sweep.sweep_if_due(ledger).await;
    assert_eq!(again.expect("it is well"), None);
    yard.pass(1);
    let again = yard.sweep.sweep_if_due(ledger).await;
    assert!(again.expect("it is well").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_what_would_go_and_sweep() {
    let yard = Yard::start().await;
    let lost = yard.lost().await;
    let scratch = Scratch::new();
    let settings = &yard.world.bucket.settings;
    let hansard = |flags: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_hansard"))
            .arg("sweep")
            .args(flags)
            .env("DATABASE_URL", &yard.world.app.url)
            .env("HANSARD_DATA", scratch.path())
            .env("S3_ENDPOINT", &settings.endpoint)
            .env("S3_BUCKET", &settings.bucket)
            .env("S3_ACCESS_KEY_ID", &settings.access_key_id)
            .env("S3_SECRET_ACCESS_KEY", &settings.secret_access_key)
            .output()
            .expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.success(), said)
    };
    let (works, said) = hansard(&["--dry-run"]);
    assert!(works && said.contains(&lost), "{said}");
    assert!(
        said.contains("without a row    1 (4 bytes), 0 of them"),
        "{said}"
    );
    // It changed nothing.
    assert!(!yard.has(MARK).await);
    let (works, said) = hansard(&[]);
    assert!(works && said.contains("deleted          0"), "{said}");
    yard.sql("update unknown_objects set first_seen_at = first_seen_at - interval '1 day'")
        .await;
    let (works, said) = hansard(&["--dry-run"]);
    assert!(!works && said.contains("too_many"), "{said}");
    let (works, said) = hansard(&[]);
    assert!(!works && said.contains("hansard sweep --all"), "{said}");
    assert!(yard.has(&lost).await);
    let (works, said) = hansard(&["--all"]);
    assert!(works && said.contains("deleted          1"), "{said}");
    assert!(!yard.has(&lost).await);
}
