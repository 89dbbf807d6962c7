//! What operators and browsers do, from outside: processes side by side, variables of a cluster, commands that only look, links
//! that are opened by machines first, and addresses other than localhost.

use crate::support::{Scratch, key, postgres::shared, rabbitmq::RabbitMq, s3::Bucket, server::Server};
use hansard::store;
use serde_json::json;
use std::process::{Command, Output};

/// A command that does one thing, with nothing of our environment but what it needs.
fn hansard(arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args(arguments)
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR" | "LANG")))
        .envs(environment.iter().copied())
        .output()
        .expect("the program that was just built starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, said)
}

/// The README's "Several" on one host, in pods of a namespace with a Service of our name, used from a page anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_and_a_worker_share_a_host_and_a_folder() {
    let database = shared().await.database().await;
    let (broker, bucket) = (RabbitMq::start().await, Bucket::start().await);
    let amqp = broker.url();
    let environment = [
        ("DATABASE_URL", database.as_str()),
        ("AMQP_URL", &amqp),
        ("S3_ENDPOINT", &bucket.settings.endpoint),
        ("S3_BUCKET", &bucket.settings.bucket),
        ("S3_ACCESS_KEY_ID", &bucket.settings.access_key_id),
        ("S3_SECRET_ACCESS_KEY", &bucket.settings.secret_access_key),
        ("HANSARD_SECRET", "a secret for tests of at least thirty-two bytes"),
        ("HANSARD_ORIGINS", "*"),
        ("HANSARD_SERVICE_HOST", "10.0.0.7"),
        ("HANSARD_PORT", "tcp://10.0.0.7:8080"),
        ("HANSARD_PORT_8080_TCP_ADDR", "10.0.0.7"),
    ];
    let folder = Scratch::new();
    let worker = Server::start("worker", folder.path(), &[], &environment);
    let api = Server::start("api", folder.path(), &["--listen", "127.0.0.1:0"], &environment);
    let second = Server::start("api", folder.path(), &["--listen", "127.0.0.1:0"], &environment);
    let kept = std::fs::read_to_string(folder.path().join("ops")).expect("the worker says where");
    assert_eq!(format!("http://{}", kept.trim()), worker.ops);
    let key = key(&database).await;
    for server in [&api, &second] {
        let asked = reqwest::Client::new().get(format!("{}/v1/meetings", server.url())).bearer_auth(&key);
        let answer = asked.header("origin", "https://anywhere.example.org").send().await.expect("answers");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://anywhere.example.org");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_only_look_leave_the_schema_as_it_is() {
    let empty = shared().await.empty_database().await;
    for command in [
        &["key", "list", "--tenant", "a"][..],
        &["tenant", "list"],
        &["key", "revoke", "00000000-0000-0000-0000-000000000000"],
    ] {
        let (output, said) = hansard(command, &[("DATABASE_URL", &empty)]);
        assert!(!output.status.success() && said.contains("hansard migrate"), "{command:?}: {said}");
    }
    let mut owner = store::owner(&empty).await.expect("Postgres answers");
    let there: bool =
        sqlx::query_scalar("select to_regclass('tenants') is not null").fetch_one(&mut owner).await.expect("asked");
    assert!(!there, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_verify_a_consent_log() {
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let ana = client.create_user("ana@example.org", "Ana").await.expect("a user");
    let meeting = client.create_meeting(&ana, json!({})).await.expect("a meeting");
    let id = meeting["id"].as_str().expect("an id");
    let joined = client.join(id, &ana).await.expect("joins");
    for status in ["accepted", "withdrawn"] {
        client.consent(&joined.token, id, "recording_ai", status).await.expect("says so");
    }
    let folder = data.path().to_str().expect("it is text");
    let (output, said) = hansard(&["consent", "verify", id, "--data", folder], &[]);
    assert!(output.status.success() && said.contains("holds"), "{said}");
    let (output, said) =
        hansard(&["consent", "verify", id, "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10", "--data", folder], &[]);
    assert!(!output.status.success() && said.contains("no such meeting") && said.contains("holds"), "{said}");

    // Somebody with the owner's rights changes who said it, and puts the trigger back.
    let url = hansard::embed::postgres::Postgres::running_url(&data.path().join("postgres")).expect("it runs");
    let mut owner = store::owner(&url).await.expect("Postgres answers");
    for statement in [
        "alter table consent_log disable trigger consent_log_rows",
        "alter table consent_log no force row level security",
        "update consent_log set actor = 'api_key' where entry = 1",
        "alter table consent_log force row level security",
        "alter table consent_log enable trigger consent_log_rows",
    ] {
        sqlx::query(statement).execute(&mut owner).await.expect(statement);
    }
    let (output, said) = hansard(&["consent", "verify", id, "--data", folder], &[]);
    assert!(!output.status.success() && said.contains("BROKEN"), "{said}");
}

/// By an address that is not localhost, as a browser elsewhere would: every link leads to where the API is.
#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_the_address_that_clients_come_by() {
    let data = Scratch::new();
    let arguments = ["--listen", "127.0.0.2:0", "--s3-listen", "127.0.0.1:0"];
    let server = Server::start("serve", data.path(), &arguments, &[]);
    assert!(server.url().starts_with("http://127.0.0.2:"), "{}", server.url());
    let client = server.client();
    let ana = client.create_user("ana@example.org", "Ana").await.expect("a user");
    let meeting = client.create_meeting(&ana, json!({})).await.expect("a meeting");
    let opened = client.post(&format!("/v1/users/{ana}/sessions"), json!({"ttlSeconds": 60})).await.expect("a session");
    let session = opened["url"].as_str().expect("a link").to_owned();
    let path = format!("/v1/meetings/{}/links", meeting["id"].as_str().expect("an id"));
    let made = client.post(&path, json!({"role": "participant", "expiresAt": null})).await.expect("a link");
    let guest = made["url"].as_str().expect("a link").to_owned();

    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    for link in [&session, &guest] {
        assert!(link.starts_with(server.url()), "{link}");
        // A preview, a scanner, then the person.
        assert_eq!(browser.head(link).send().await.expect("answers").status(), 200);
        assert_eq!(browser.get(link).send().await.expect("answers").status(), 200);
    }
    let pressed = browser.post(&session).header("origin", "null").send().await.expect("answers");
    assert_eq!((pressed.status().as_u16(), &pressed.headers()["location"]), (303, &"/host".parse().expect("text")));
    let cookie = pressed.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let page = browser.get(format!("{}/host", server.url())).header("cookie", cookie).send().await.expect("answers");
    assert_eq!(page.status(), 200);
    assert_eq!(browser.post(&session).send().await.expect("answers").status(), 410);
}
