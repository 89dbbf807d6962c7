//! Signaling, against a scripted server.

use super::*;

/// A peer that speaks the subprotocol by a script: what it must receive, and what it then says.
async fn scripted(answers: Vec<(&'static str, Vec<Message>)>) -> String {
    let listener = tokio::net::TcpListener::bind((LOCALHOST, 0))
        .await
        .expect("a port");
    let url = format!(
        "ws://{}/v1/signal",
        listener.local_addr().expect("an address")
    );
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepts");
        #[allow(clippy::result_large_err)]
        let negotiate = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], "hansard.v1");
            assert_eq!(request.headers()["authorization"], "Bearer hk_1");
            response.headers_mut().insert(
                "sec-websocket-protocol",
                "hansard.v1".parse().expect("a header"),
            );
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, negotiate)
            .await
            .expect("upgrades");
        for (wanted, says) in answers {
            let received = socket
                .next()
                .await
                .expect("more")
                .expect("receives")
                .into_text()
                .expect("text");
            assert!(received.contains(wanted), "{received}");
            for message in says {
                socket.send(message).await.expect("sends");
            }
        }
        while let Some(Ok(_)) = socket.next().await {}
    });
    url
}

#[tokio::test]
async fn a_socket_joins_asks_and_learns_why_it_was_closed() {
    let closing = CloseFrame {
        code: 4000.into(),
        reason: "ended".into(),
    };
    let url = scripted(vec![
        (
            r#""meetingId":"m""#,
            vec![Message::text(
                r#"{"type":"joined","re":"join","data":{"seq":4}}"#,
            )],
        ),
        (
            r#""type":"ping""#,
            vec![
                Message::text(r#"{"type":"consent_updated","seq":5,"data":{}}"#),
                Message::text(r#"{"type":"pong","re":"r1","data":{}}"#),
                Message::Close(Some(closing)),
            ],
        ),
    ])
    .await;
    let entry = Entry::Observer {
        api_key: "hk_1".into(),
        meeting_id: "m".into(),
    };
    let mut signal = Signal::connect(&url, &entry, None).await.expect("joins");
    assert_eq!(signal.joined.data()["seq"], 4);
    let id = signal.ping().await.expect("asks");
    let before = signal.next().await.expect("an event");
    assert_eq!((before.kind(), before.seq()), ("consent_updated", Some(5)));
    let pong = signal
        .wait_for(Instant::now() + SOON, |event| event.value["re"] == *id)
        .await
        .expect("is answered");
    assert_eq!(pong.kind(), "pong");
    assert!(signal.next().await.is_none());
    let closed = signal.ended().await.expect("ended");
    assert_eq!((closed.code, closed.reason.as_str()), (Some(4000), "ended"));
}

#[tokio::test]
async fn a_refusal_to_join_says_why() {
    let answer =
        r#"{"type":"error","re":"join","data":{"code":"consent_required","message":"first"}}"#;
    let url = scripted(vec![("join_room", vec![Message::text(answer)])]).await;
    let entry = Entry::Observer {
        api_key: "hk_1".into(),
        meeting_id: "m".into(),
    };
    let refused = Signal::connect(&url, &entry, None)
        .await
        .expect_err("refused");
    assert!(
        format!("{refused:#}").contains("consent_required"),
        "{refused:#}"
    );
}
