//! `hansard doctor` on servers that are well, and on ones that are not.

use crate::support::{
    Scratch, eventually,
    faults::{Fault, Faults, Rule},
    free_ports,
    postgres::shared,
    rabbitmq::RabbitMq,
    s3::Bucket,
    server::Server,
};
use axum::http::Method;
use clap::Parser;
use hansard::{
    config::{Base, Deployment, Settings, Sources},
    doctor::{Finding, State, examine, examine_storage},
    queue::Queue,
};
use std::{future::IntoFuture, path::Path, time::Duration};
use tokio::net::TcpListener;

#[derive(Parser)]
struct NoFlags {
    #[command(flatten)]
    base: Base,
}

fn settings(data: &Path, environment: &[(&str, &str)]) -> Settings {
    let flags = NoFlags::parse_from(["hansard"]);
    let own = [
        ("HANSARD_DATA", data.to_str().expect("it is text")),
        ("HANSARD_S3_LISTEN", "127.0.0.1:0"),
        ("HANSARD_LISTEN", "127.0.0.1:0"),
        ("HANSARD_OPS_LISTEN", "127.0.0.1:0"),
        ("HANSARD_RTP_PORTS", "24000-24099"),
    ];
    let sources =
        Sources::new(flags.base).environment(own.into_iter().chain(environment.iter().copied()));
    Settings::resolve(sources, Deployment::Standalone).expect("the settings are right")
}

async fn findings(data: &Path, environment: &[(&str, &str)]) -> Vec<Finding> {
    let settings = settings(data, environment);
    let mut findings = Vec::new();
    examine(&settings, |finding| findings.push(finding)).await;
    for finding in &findings {
        eprintln!("{finding}");
    }
    findings
}

fn of<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.what == what)
        .expect("it was checked")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_along_is_well() {
    let scratch = Scratch::new();
    let found = findings(scratch.path(), &[]).await;
    for what in [
        "GStreamer",
        "Postgres",
        "schema",
        "clock",
        "queue",
        "object storage",
        "links",
        "addresses",
    ] {
        assert_eq!(of(&found, what).state, State::Ok, "{what}");
    }
    // Well enough for a demo.
    assert_eq!(of(&found, "speech model").state, State::Warn);
    assert!(
        of(&found, "live meetings")
            .found
            .contains("hansard models bench")
    );
    assert!(
        of(&found, "speech model")
            .mend
            .as_ref()
            .expect("it says how")
            .contains("hansard models fetch base.en")
    );
    assert_eq!(of(&found, "media ports").state, State::Warn);
    assert!(
        !of(&found, "media ports")
            .found
            .contains("ip_local_port_range")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_that_any_program_may_get_are_named() {
    let range =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("this is Linux");
    let first: u16 = range
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok())
        .expect("a port");
    let ports = format!("{}-{}", first - 10, first + 10);
    let scratch = Scratch::new();
    let found = findings(scratch.path(), &[("HANSARD_RTP_PORTS", &ports)]).await;
    let finding = of(&found, "media ports");
    assert_eq!(finding.state, State::Warn);
    assert!(finding.found.contains("ip_local_port_range"), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_is_used() {
    let scratch = Scratch::new();
    let bucket = Bucket::start().await;
    let broker = RabbitMq::start().await;
    let (migrated, empty) = (
        shared().await.database().await,
        shared().await.empty_database().await,
    );
    let amqp = broker.url();
    // One that has just started takes longer than it is given here.
    let queue = Queue::amqp(&amqp).expect("it is an address");
    eventually("it answers", Duration::from_secs(60), async || {
        queue.unreachable_since().is_none()
    })
    .await;
    let environment = |database| {
        [
            ("DATABASE_URL", database),
            ("AMQP_URL", amqp.as_str()),
            ("S3_ENDPOINT", bucket.settings.endpoint.as_str()),
            ("S3_ACCESS_KEY_ID", bucket.settings.access_key_id.as_str()),
            (
                "S3_SECRET_ACCESS_KEY",
                bucket.settings.secret_access_key.as_str(),
            ),
        ]
    };
    let found = findings(scratch.path(), &environment(migrated.as_str())).await;
    for what in [
        "Postgres",
        "schema",
        "deletions",
        "queue",
        "object storage",
        "links",
    ] {
        assert_eq!(of(&found, what).state, State::Ok, "{what}");
    }
    // A machine that died two days ago with a meeting's sound.
    sqlx::query(
        "insert into spools (spool, meeting_id, epoch, tenant_id, noted_at)
         values (gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), clock_timestamp() - interval '2 days')",
    )
    .execute(&mut hansard::store::owner(&migrated).await.expect("Postgres answers"))
    .await
    .expect("it may write");
    let later = findings(scratch.path(), &environment(migrated.as_str())).await;
    let finding = of(&later, "deletions");
    assert_eq!(finding.state, State::Warn);
    assert!(finding.found.starts_with("1 machines"), "{finding}");
    assert_eq!(
        bucket.objects.list("", 10).await.expect("it answers"),
        [],
        "nothing is left behind"
    );

    let found = findings(scratch.path(), &environment(empty.as_str())).await;
    assert_eq!(of(&found, "schema").state, State::Fail);
    assert_eq!(
        of(&found, "schema").mend.as_deref(),
        Some("hansard migrate")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_away_or_wrong_is_named_with_a_way_to_mend_it() {
    let scratch = Scratch::new();
    let bucket = Bucket::start().await;
    let environment = [
        (
            "DATABASE_URL",
            "postgres://ana:tell-nobody@127.0.0.1:1/hansard",
        ),
        ("AMQP_URL", "amqp://ana:tell-nobody@127.0.0.1:1/%2f"),
        ("S3_ENDPOINT", bucket.settings.endpoint.as_str()),
        ("S3_PUBLIC_ENDPOINT", "http://127.0.0.1:1"),
        ("S3_ACCESS_KEY_ID", bucket.settings.access_key_id.as_str()),
        (
            "S3_SECRET_ACCESS_KEY",
            bucket.settings.secret_access_key.as_str(),
        ),
        ("HANSARD_MODEL", "nobodys"),
        ("HANSARD_PUBLIC_URL", "http://meet.example.org"),
        ("HANSARD_RTP_BIND", "192.0.2.1"),
    ];
    let found = findings(scratch.path(), &environment).await;
    for what in ["speech model", "Postgres", "queue", "links", "media ports"] {
        let finding = of(&found, what);
        assert_eq!(finding.state, State::Fail, "{what}");
        assert!(finding.mend.is_some(), "{what}");
    }
    assert_eq!(of(&found, "object storage").state, State::Ok);
    assert_eq!(of(&found, "addresses").state, State::Warn);
    assert!(
        !found
            .iter()
            .any(|finding| finding.to_string().contains("tell-nobody"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_used_and_is_not_meant_is_said() {
    let scratch = Scratch::new();
    let bucket = Bucket::start().await;
    let environment = [
        // Not there, and fetched at the next start.
        ("HANSARD_MODEL", "base.en"),
        ("S3_ENDPOINT", bucket.settings.endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", bucket.settings.access_key_id.as_str()),
        (
            "S3_SECRET_ACCESS_KEY",
            bucket.settings.secret_access_key.as_str(),
        ),
        ("HANSARD_PUBLIC_URL", "https://meet.example.org"),
        ("HANSARD_ORIGINS", "*"),
        ("HANSARD_SERVICE_HOST", "10.0.0.7"),
    ];
    let found = findings(scratch.path(), &environment).await;
    // Clients come from elsewhere, and files lie where only this machine reaches.
    assert_eq!(of(&found, "links").state, State::Warn);
    assert!(
        of(&found, "links")
            .mend
            .as_ref()
            .expect("it says how")
            .contains("S3_PUBLIC_ENDPOINT")
    );
    assert_eq!(of(&found, "CORS of files").state, State::Ok);
    let model = of(&found, "speech model");
    assert_eq!(model.state, State::Warn);
    assert!(model.to_string().contains("fetched at the next start"));
    let said: String = found
        .iter()
        .filter(|finding| finding.what == "settings")
        .map(|one| one.found.as_str())
        .collect();
    assert!(
        said.contains("HANSARD_SERVICE_HOST") && said.contains("every origin"),
        "{said}"
    );

    let open = findings(scratch.path(), &[("HANSARD_LISTEN", "0.0.0.0:0")]).await;
    assert_eq!(of(&open, "addresses").state, State::Warn);
    assert!(
        of(&open, "addresses")
            .mend
            .as_ref()
            .expect("it says how")
            .contains("--public-url")
    );
    assert!(
        of(&open, "links").found.contains("/files"),
        "{}",
        of(&open, "links").found
    );
}

/// Stores that understand less of S3 than others: the setting that mends it is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_speaks_otherwise_is_named_with_its_setting() {
    let scratch = Scratch::new();
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    let environment = [
        ("S3_ENDPOINT", faults.endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", bucket.settings.access_key_id.as_str()),
        (
            "S3_SECRET_ACCESS_KEY",
            bucket.settings.secret_access_key.as_str(),
        ),
        ("HANSARD_ORIGINS", "https://meet.example.org"),
    ];
    faults.set(&[Rule::all(Fault::Answer(400, "InvalidRequest")).with_header("x-amz-checksum")]);
    let found = findings(scratch.path(), &environment).await;
    assert_eq!(of(&found, "object storage").state, State::Fail);
    assert!(
        of(&found, "object storage")
            .mend
            .as_ref()
            .expect("it says how")
            .contains("S3_CHECKSUMS=off")
    );

    let without: Vec<_> = environment
        .into_iter()
        .chain([("S3_CHECKSUMS", "off")])
        .collect();
    // Scripts of pages are refused, links and players are not.
    let for_scripts =
        Rule::on(Fault::Answer(403, "AccessForbidden"), &[Method::GET]).with_header("origin");
    faults.set(&[
        Rule::all(Fault::Answer(400, "InvalidRequest")).with_header("x-amz-checksum"),
        for_scripts,
    ]);
    let found = findings(scratch.path(), &without).await;
    for what in ["object storage", "links"] {
        assert_eq!(of(&found, what).state, State::Ok, "{what}");
    }
    assert_eq!(of(&found, "CORS of files").state, State::Warn);
    assert!(
        of(&found, "CORS of files")
            .found
            .contains("https://meet.example.org")
    );
    assert!(
        of(&found, "CORS of files")
            .mend
            .as_ref()
            .expect("it says how")
            .contains("CORS rule")
    );
}

/// `serve` hands out its files itself: while it runs they are fetched as clients and pages do it.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_running_serve_are_fetched_by_its_own_address() {
    let scratch = Scratch::new();
    let [listen, s3] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let server = Server::start(
        "serve",
        scratch.path(),
        &["--listen", &listen, "--s3-listen", &s3],
        &[],
    );
    let environment = [
        ("HANSARD_LISTEN", listen.as_str()),
        ("HANSARD_S3_LISTEN", s3.as_str()),
        ("HANSARD_ORIGINS", "https://app.example.org"),
    ];
    let found = findings(scratch.path(), &environment).await;
    for what in ["object storage", "links", "CORS of files"] {
        assert_eq!(of(&found, what).state, State::Ok, "{what}");
    }
    let links = of(&found, "links");
    let files = format!("fetched through http://{listen}/files");
    assert!(links.found.contains(&files), "{links}");
    let cors = of(&found, "CORS of files");
    assert!(cors.found.contains("in origins fetch files"), "{cors}");

    // Something is in between that has no files.
    let between = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let public = format!("http://{}", between.local_addr().expect("bound"));
    tokio::spawn(axum::serve(between, axum::Router::new()).into_future());
    let environment = [&environment[..], &[("HANSARD_PUBLIC_URL", &public)]].concat();
    let found = findings(scratch.path(), &environment).await;
    let links = of(&found, "links");
    assert_eq!(links.state, State::Fail);
    assert!(links.found.contains("404"), "{links}");
    let cors = of(&found, "CORS of files");
    assert_eq!(cors.state, State::Warn);
    assert!(cors.found.contains("https://app.example.org"), "{cors}");
    server.terminate();
}

/// A proxy that is in front and not named makes all clients one.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_named_is_said() {
    let scratch = Scratch::new();
    let public = ("HANSARD_PUBLIC_URL", "https://meet.example.org");
    let found = findings(scratch.path(), &[public]).await;
    assert_eq!(of(&found, "proxy").state, State::Warn);
    assert!(
        of(&found, "proxy")
            .mend
            .as_ref()
            .expect("it says how")
            .contains("--trusted-proxies")
    );
    let found = findings(
        scratch.path(),
        &[public, ("HANSARD_TRUSTED_PROXIES", "10.0.0.0/8")],
    )
    .await;
    assert_eq!(of(&found, "proxy").state, State::Ok);
    assert!(of(&found, "proxy").found.contains("10.0.0.0/8"));
}

/// `--s3`: every call on its own, with what does not work without it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_can_do_is_tried_call_by_call() {
    let scratch = Scratch::new();
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    let environment = [
        ("S3_ENDPOINT", faults.endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", bucket.settings.access_key_id.as_str()),
        (
            "S3_SECRET_ACCESS_KEY",
            bucket.settings.secret_access_key.as_str(),
        ),
    ];
    let settings = settings(scratch.path(), &environment);
    let tried = async || {
        let mut findings = Vec::new();
        examine_storage(&settings, |finding| findings.push(finding)).await;
        for finding in &findings {
            eprintln!("{finding}");
        }
        findings
    };
    let found = tried().await;
    assert!(found.len() > 20, "{} findings", found.len());
    assert!(found.iter().all(|finding| finding.state == State::Ok));
    faults.set(&[
        Rule::all(Fault::Answer(403, "InvalidStorageClass")).with_header("x-amz-storage-class")
    ]);
    let found = tried().await;
    let class = of(&found, "storage classes");
    assert_eq!(class.state, State::Warn);
    assert!(class.found.contains("InvalidStorageClass"), "{class}");
    let mend = class.mend.as_ref().expect("it says what does not work");
    assert!(mend.contains("cheaper"), "{class}");
    assert_eq!(of(&found, "upload in parts").state, State::Ok);
    assert_eq!(
        bucket.objects.list("", 10).await.expect("it answers"),
        [],
        "nothing is left behind"
    );
    // What is brought along is started for it.
    let own = super::doctor::settings(scratch.path(), &[]);
    let mut findings = Vec::new();
    examine_storage(&own, |finding| findings.push(finding)).await;
    assert!(findings.len() > 20 && findings.iter().all(|one| one.state == State::Ok));
}
