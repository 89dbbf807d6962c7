//! Jobs that nobody takes.

use super::*;

/// Nobody takes the job that makes the files: it is told by everything that an operator looks at.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_job_that_nobody_takes_is_told() {
    let place = Place::new().await;
    let server = place.serve(&["--queues", "capture,clean", "--grace-seconds", "1"]);
    let client = server.client();
    let id = meeting(&client).await;
    let ana = voice(&client, &id, "Ana", hum(500.0, 2)).await;
    ana.sending.await.expect("sends");
    client.end(&id).await.expect("ends");
    told(&server, Some("no_worker:join")).await;
    let metrics = reqwest::get(format!("{}/metrics", server.ops))
        .await
        .expect("answers")
        .text()
        .await
        .expect("text");
    assert!(
        metrics.contains("hansard_jobs{kind=\"join\",state=\"queued\"} 1"),
        "{metrics}"
    );
    let (code, said) = run(&place, &["doctor"]);
    assert_eq!(code, Some(0), "it works, but not as it should: {said}");
    assert!(
        said.contains("no worker takes them: 1 join") && said.contains("--queues has join"),
        "{said}"
    );
    server.kill();
}

#[test]
fn a_worker_that_would_do_nothing_does_not_start() {
    let data = Scratch::new();
    let output = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args([
            "serve",
            "--queues",
            "recover",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ])
        .args(["--s3-listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("recover") && said.contains("capture, mix or clean"),
        "{said}"
    );
}
