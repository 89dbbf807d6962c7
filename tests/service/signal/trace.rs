//! What a socket causes is logged with the request that opened it and with its meeting.

use super::{support::eventually, world::World};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{io, sync::Arc, time::Duration};
use tracing_subscriber::fmt::MakeWriter;

/// The log's lines, as JSON.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn with(&self, message: &str) -> Option<Value> {
        String::from_utf8_lossy(&self.0.lock())
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["fields"]["message"] == message)
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn what_a_socket_causes_is_logged_with_its_request_and_meeting() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter("hansard=info")
        .with_writer(lines.clone())
        .finish();
    // With one dispatcher alone, a callsite that another test's thread meets first asks that
    // thread's (none) and stays off for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // All tasks of this test run on its thread.
    let _logging = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;
    let api = world.api().await;
    let mut asked = world.queue.serve(world.meeting).await;
    let (mut client, _) = api.join(&world, world.invite("Ana").await).await;
    client
        .send(json!({"type": "consent", "data": {"consentType": "recording_ai", "status": "withdrawn"}}))
        .await;
    // A worker that hears it and does not answer.
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(ask) = asked.recv().await {
            kept.push(ask);
        }
    });
    let message = "the worker did not confirm a withdrawal; it polls the log";
    eventually(message, Duration::from_secs(20), async || {
        lines.with(message).is_some()
    })
    .await;
    silent.abort();
    let line = lines.with(message).expect("it was just there");
    let spans = line["spans"].as_array().expect("a list");
    assert_eq!(
        spans.iter().map(|span| &span["name"]).collect::<Vec<_>>(),
        ["request", "meeting"]
    );
    assert_eq!(spans[0]["route"], "/v1/signal");
    assert!(spans[0]["id"].is_string());
    assert_eq!(spans[1]["id"], json!(world.meeting));
}
