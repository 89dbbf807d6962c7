//! What operators and browsers do, from outside: processes side by side, variables of a cluster,
//! commands that only look, links that are opened by machines first, and addresses other than
//! localhost.

use super::support::{
    Scratch, key, postgres::shared, rabbitmq::RabbitMq, s3::Bucket, server::Server,
};
use hansard::store;
use serde_json::json;
use std::{
    process::{Command, Output},
    sync::{Arc, Mutex},
};

/// A command that does one thing, with nothing of our environment but what it needs.
fn hansard(arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args(arguments)
        .env_clear()
        .envs(
            std::env::vars()
                .filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR" | "LANG")),
        )
        .envs(environment.iter().copied())
        .output()
        .expect("the program that was just built starts");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output, said)
}

/// The README's "Several" on one host, in pods of a namespace with a Service of our name, used from
/// a page anywhere.
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
        (
            "HANSARD_SECRET",
            "a secret for tests of at least thirty-two bytes",
        ),
        ("HANSARD_ORIGINS", "*"),
        ("HANSARD_SERVICE_HOST", "10.0.0.7"),
        ("HANSARD_PORT", "tcp://10.0.0.7:8080"),
        ("HANSARD_PORT_8080_TCP_ADDR", "10.0.0.7"),
    ];
    let folder = Scratch::new();
    let worker = Server::start("worker", folder.path(), &[], &environment);
    let api = Server::start(
        "api",
        folder.path(),
        &["--listen", "127.0.0.1:0"],
        &environment,
    );
    let second = Server::start(
        "api",
        folder.path(),
        &["--listen", "127.0.0.1:0"],
        &environment,
    );
    let kept = std::fs::read_to_string(folder.path().join("ops")).expect("the worker says where");
    assert_eq!(format!("http://{}", kept.trim()), worker.ops);
    let key = key(&database).await;
    for server in [&api, &second] {
        let asked = reqwest::Client::new()
            .get(format!("{}/v1/meetings", server.url()))
            .bearer_auth(&key);
        let answer = asked
            .header("origin", "https://anywhere.example.org")
            .send()
            .await
            .expect("answers");
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            "https://anywhere.example.org"
        );
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
        assert!(
            !output.status.success() && said.contains("hansard migrate"),
            "{command:?}: {said}"
        );
    }
    let mut owner = store::owner(&empty).await.expect("Postgres answers");
    let there: bool = sqlx::query_scalar("select to_regclass('tenants') is not null")
        .fetch_one(&mut owner)
        .await
        .expect("asked");
    assert!(!there, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_verify_a_consent_log() {
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let ana = client
        .create_user("ana@example.org", "Ana")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&ana, json!({}))
        .await
        .expect("a meeting");
    let id = meeting["id"].as_str().expect("an id");
    let joined = client.join(id, &ana).await.expect("joins");
    for status in ["accepted", "withdrawn"] {
        client
            .consent(&joined.token, id, "recording_ai", status)
            .await
            .expect("says so");
    }
    let folder = data.path().to_str().expect("it is text");
    let (output, said) = hansard(&["consent", "verify", id, "--data", folder], &[]);
    assert!(output.status.success() && said.contains("holds"), "{said}");
    let (output, said) = hansard(
        &[
            "consent",
            "verify",
            id,
            "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10",
            "--data",
            folder,
        ],
        &[],
    );
    assert!(
        !output.status.success() && said.contains("no such meeting") && said.contains("holds"),
        "{said}"
    );

    // Somebody with the owner's rights changes who said it, and puts the trigger back.
    let url = hansard::embed::postgres::Postgres::running_url(&data.path().join("postgres"))
        .expect("it runs");
    let mut owner = store::owner(&url).await.expect("Postgres answers");
    for statement in [
        "alter table consent_log disable trigger consent_log_rows",
        "alter table consent_log no force row level security",
        "update consent_log set actor = 'api_key' where entry = 1",
        "alter table consent_log force row level security",
        "alter table consent_log enable trigger consent_log_rows",
    ] {
        sqlx::query(statement)
            .execute(&mut owner)
            .await
            .expect(statement);
    }
    let (output, said) = hansard(&["consent", "verify", id, "--data", folder], &[]);
    assert!(
        !output.status.success() && said.contains("BROKEN"),
        "{said}"
    );
}

/// By an address that is not localhost, as a browser elsewhere would: every link leads to where the
/// API is.
#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_the_address_that_clients_come_by() {
    let data = Scratch::new();
    let arguments = ["--listen", "127.0.0.2:0", "--s3-listen", "127.0.0.1:0"];
    let server = Server::start("serve", data.path(), &arguments, &[]);
    assert!(
        server.url().starts_with("http://127.0.0.2:"),
        "{}",
        server.url()
    );
    let client = server.client();
    let ana = client
        .create_user("ana@example.org", "Ana")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&ana, json!({}))
        .await
        .expect("a meeting");
    let opened = client
        .post(
            &format!("/v1/users/{ana}/sessions"),
            json!({"ttlSeconds": 60}),
        )
        .await
        .expect("a session");
    let session = opened["url"].as_str().expect("a link").to_owned();
    let path = format!(
        "/v1/meetings/{}/links",
        meeting["id"].as_str().expect("an id")
    );
    let made = client
        .post(&path, json!({"role": "participant", "expiresAt": null}))
        .await
        .expect("a link");
    let guest = made["url"].as_str().expect("a link").to_owned();

    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    for link in [&session, &guest] {
        assert!(link.starts_with(server.url()), "{link}");
        // A preview, a scanner, then the person.
        assert_eq!(
            browser.head(link).send().await.expect("answers").status(),
            200
        );
        assert_eq!(
            browser.get(link).send().await.expect("answers").status(),
            200
        );
    }
    let pressed = browser
        .post(&session)
        .header("origin", "null")
        .send()
        .await
        .expect("answers");
    assert_eq!(
        (pressed.status().as_u16(), &pressed.headers()["location"]),
        (303, &"/host".parse().expect("text"))
    );
    let cookie = pressed.headers()["set-cookie"]
        .to_str()
        .expect("text")
        .split(';')
        .next()
        .expect("a pair")
        .to_owned();
    let page = browser
        .get(format!("{}/host", server.url()))
        .header("cookie", cookie)
        .send()
        .await
        .expect("answers");
    assert_eq!(page.status(), 200);
    assert_eq!(
        browser
            .post(&session)
            .send()
            .await
            .expect("answers")
            .status(),
        410
    );
}

/// A store that writes down what it is asked, and has everything.
async fn store_that_listens() -> (String, Arc<Mutex<Vec<String>>>) {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let hears = heard.clone();
    let router = axum::Router::new().fallback(async move |request: axum::extract::Request| {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        hears
            .lock()
            .expect("nobody panics")
            .push(format!("{method} {uri} {:?}", request.headers()));
        if uri.query().unwrap_or_default().contains("list-type=2") {
            "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
        } else {
            "sound"
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

/// However a client fetches a file, its key stays with the API.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_reaches_the_store() {
    let (endpoint, heard) = store_that_listens().await;
    let data = Scratch::new();
    let environment = [
        ("S3_ENDPOINT", endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", "id"),
        ("S3_SECRET_ACCESS_KEY", "secret"),
    ];
    let server = Server::start(
        "serve",
        data.path(),
        &["--listen", "127.0.0.1:0"],
        &environment,
    );
    let client = server.client();
    let ana = client
        .create_user("ana@example.org", "Ana")
        .await
        .expect("a user");
    let meeting = client
        .create_meeting(&ana, json!({}))
        .await
        .expect("a meeting");
    let meeting: uuid::Uuid = meeting["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    let url = hansard::embed::postgres::Postgres::running_url(&data.path().join("postgres"))
        .expect("it runs");
    let store = store::Store::open(&url, 1).expect("the URL is good");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    let recording = uuid::Uuid::now_v7();
    sqlx::query(
        "insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms, duration_ms, status, blob_url)
         select $1, tenant_id, id, 'mix', 'audio/mp4', 0, 1000, 'ready', 's3://hansard/m/a' from meetings where id = $2",
    )
    .bind(recording)
    .bind(meeting)
    .execute(&mut *tx)
    .await
    .expect("inserted");
    tx.commit().await.expect("Postgres answers");

    let content = format!("{}/v1/recordings/{recording}/content", server.url());
    let key = format!("Authorization: Bearer {}", server.key());
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(run("curl", &["-sSfL", "-H", &key, &content]), "sound");
    let head = run("curl", &["-sSfIL", "-H", &key, &content]);
    assert!(head.contains("302") && head.contains("200"), "{head}");
    // What would carry it on by itself asks where the file is.
    let python = "import json, sys, urllib.request as u\n\
                  r = u.Request(sys.argv[1] + '?redirect=false', headers={'Authorization': 'Bearer ' + sys.argv[2]})\n\
                  print(u.urlopen(json.load(u.urlopen(r))['url']).read().decode(), end='')";
    assert_eq!(
        run("python3", &["-c", python, &content, server.key()]),
        "sound"
    );
    let heard = heard.lock().expect("nobody panics");
    let fetched: Vec<&String> = heard
        .iter()
        .filter(|asked| asked.contains("/hansard/m/a?"))
        .collect();
    assert_eq!(fetched.len(), 3, "{heard:?}");
    assert!(fetched[1].starts_with("HEAD"), "{fetched:?}");
    assert!(
        !heard
            .iter()
            .any(|asked| asked.contains(server.key()) || asked.contains("Bearer")),
        "{heard:?}"
    );
}

/// The key is for scripts, not for what keeps all that it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_shown_the_key_once() {
    let data = Scratch::new();
    let ports = ["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];
    let first = Server::start("serve", data.path(), &ports, &[("JOURNAL_STREAM", "8:1")]);
    let key = first.key().to_owned();
    assert!(key.starts_with("hk_"), "{key}");
    first.terminate();
    let second = Server::start("serve", data.path(), &ports, &[("JOURNAL_STREAM", "8:1")]);
    let place = data.path().join("key");
    assert_eq!(second.key(), format!("in {}", place.display()));
    assert_eq!(
        std::fs::read_to_string(&place).expect("it is kept").trim(),
        key
    );
    second.terminate();
    // A script that waits for the line gets it every time.
    assert_eq!(Server::start("serve", data.path(), &ports, &[]).key(), key);
}
