//! Consent over the socket: a grant is durable first, a withdrawal acts first, whatever is away.

use super::{
    support::{eventually, postgres::Cluster},
    world::{Api, Client, World, seqs},
};
use hansard::{
    api::{
        auth::{Caller, Who},
        consent_request::{self, ConsentRequest},
    },
    domain::{
        consent::ConsentStatus,
        participant::Answers,
        settings::{ConsentPolicy, MeetingSettings},
    },
    queue::message::{Ask, Reply},
    store::{consent, presence},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the meeting's worker was asked of withdrawals.
pub type Notice = Arc<Mutex<Vec<Ask>>>;

/// Answers as the worker that holds the meeting, until the test ends.
pub async fn worker(world: &World) -> Notice {
    let heard = Notice::default();
    let mut serving = world.queue.serve(world.meeting).await;
    let kept = heard.clone();
    tokio::spawn(async move {
        while let Some((ask, responder)) = serving.recv().await {
            match ask {
                Ask::Withdraw { journal, .. } => {
                    kept.lock().expect("no holder panics").push(ask);
                    responder.reply(Reply::Withdrawn {
                        journalled: journal,
                    });
                }
                _ => responder.reply(Reply::Done),
            }
        }
    });
    heard
}

async fn say(client: &mut Client, id: &str, status: &str) {
    client.send(json!({"type": "consent", "id": id, "data": {"consentType": "recording_ai", "status": status}})).await;
}

async fn three(world: &World, api: &Api, other: &Api) -> (Client, Client, Client) {
    let (ana, _) = api.join(world, world.invite("Ana").await).await;
    let (bob, _) = other.join(world, world.invite("Bob").await).await;
    let (observer, _) = other.observe(world).await;
    (ana, bob, observer)
}

#[tokio::test]
async fn a_grant_is_told_once_committed_and_a_withdrawal_at_once_and_committed() {
    let world = World::new().await;
    let (one, other) = (world.api().await, world.api().await);
    let heard = worker(&world).await;
    let (mut ana, mut bob, mut observer) = three(&world, &one, &other).await;
    say(&mut ana, "g", "accepted").await;
    let answer = ana.next_of("consent_updated").await;
    assert_eq!(
        (&answer["re"], &answer["data"]["entry"]),
        (&json!("g"), &json!(1))
    );
    assert_eq!(
        answer["data"]["purposes"],
        json!(["recording", "transcription"])
    );
    assert_eq!(answer["data"]["accepted"], true);
    for client in [&mut bob, &mut observer] {
        let told = client.next_of("consent_updated").await;
        assert_eq!((told.get("re"), &told["data"]), (None, &answer["data"]));
        assert_eq!(told["seq"], answer["seq"]);
    }
    assert!(heard.lock().expect("no holder panics").is_empty());

    say(&mut ana, "w", "withdrawn").await;
    let at_once = ana.next_of("consent_updated").await;
    assert_eq!(at_once["re"], "w");
    assert!(
        at_once.get("seq").is_none()
            && at_once["data"].get("entry").is_none()
            && at_once["data"].get("hash").is_none()
    );
    let committed = ana.next_of("consent_updated").await;
    assert!(committed.get("re").is_none());
    assert_eq!(
        (&committed["data"]["entry"], &committed["data"]["id"]),
        (&json!(2), &at_once["data"]["id"])
    );
    assert_eq!(committed["data"]["timestamp"], at_once["data"]["timestamp"]);
    for client in [&mut bob, &mut observer] {
        let told = [
            client.next_of("consent_updated").await,
            client.next_of("consent_updated").await,
        ];
        assert!(told[0].get("seq").is_none() && told[1]["seq"].is_i64());
        assert!(told.iter().all(|told| told.get("re").is_none()));
    }
    let asked = heard.lock().expect("no holder panics").clone();
    assert!(
        matches!(&asked[..], [Ask::Withdraw { id, status: ConsentStatus::Withdrawn, journal: false, .. }]
            if json!(id) == at_once["data"]["id"]),
        "{asked:?}"
    );
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    consent::verify(&mut tx, world.meeting)
        .await
        .expect("read")
        .expect("the chain holds");

    // The observer says nothing.
    say(&mut observer, "o", "accepted").await;
    assert_eq!(observer.next_of("error").await["data"]["code"], "forbidden");
}

#[tokio::test]
async fn without_a_worker_it_is_told_in_the_same_order() {
    let world = World::new().await;
    let api = world.api().await;
    let (mut ana, _) = api.join(&world, world.invite("Ana").await).await;
    say(&mut ana, "d", "declined").await;
    let told = [
        ana.next_of("consent_updated").await,
        ana.next_of("consent_updated").await,
    ];
    assert_eq!((told[0].get("seq"), &told[0]["re"]), (None, &json!("d")));
    assert_eq!((&told[1]["seq"], told[1].get("re")), (&json!(2), None));
}

#[tokio::test]
async fn what_one_socket_says_is_logged_in_its_order() {
    let world = World::new().await;
    let api = world.api().await;
    worker(&world).await;
    let guest = world.invite("Ana").await;
    let (mut ana, _) = api.join(&world, guest).await;
    for n in 0..30 {
        say(
            &mut ana,
            &n.to_string(),
            if n % 2 == 0 { "accepted" } else { "withdrawn" },
        )
        .await;
    }
    ana.up_to(31).await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let log = consent::whole(&mut tx, world.meeting).await.expect("read");
    assert!(
        log.iter()
            .all(|entry| entry.status.accepts() == (entry.entry % 2 == 1))
    );
    let person = presence::person(&mut tx, world.meeting, guest.participant)
        .await
        .expect("read");
    assert_eq!(person.consent.recording, Some(ConsentStatus::Withdrawn));
}

/// As many as somebody sends, faster than anything else may come: each counts, in its order.
#[tokio::test]
async fn refusing_has_no_limit() {
    let world = World::new().await;
    let api = world.api().await;
    let guest = world.invite("Ana").await;
    let (mut ana, _) = api.join(&world, guest).await;
    for n in 0..200 {
        say(
            &mut ana,
            &n.to_string(),
            if n % 2 == 0 { "withdrawn" } else { "declined" },
        )
        .await;
    }
    ana.up_to(201).await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let log = consent::whole(&mut tx, world.meeting).await.expect("read");
    assert_eq!(log.len(), 200);
    assert_eq!(
        log.last().map(|entry| entry.status),
        Some(ConsentStatus::Declined)
    );
    // Agreeing is counted as anything else.
    for n in 0..60 {
        say(&mut ana, &n.to_string(), "accepted").await;
    }
    assert_eq!(ana.rest().await.1, Some(4029));
}

#[tokio::test]
async fn with_postgres_away_a_withdrawal_acts_and_is_journalled_and_a_grant_is_refused() {
    let cluster = Cluster::start().await;
    let world = World::on(&cluster, MeetingSettings::default()).await;
    let api = world.api().await;
    let heard = worker(&world).await;
    let (mut ana, mut bob, _observer) = three(&world, &api, &api).await;
    for (stop, status) in [(true, "withdrawn"), (false, "declined")] {
        // Gone, and there without an answer.
        if stop {
            cluster.stop().await
        } else {
            cluster.freeze(true).await
        }
        say(&mut ana, status, status).await;
        // Behind what was committed meanwhile of the one before.
        let at_once = loop {
            let told = ana.next_of("consent_updated").await;
            if told["re"] == status {
                break told;
            }
        };
        assert!(at_once.get("seq").is_none());
        let id = at_once["data"]["id"].clone();
        assert_eq!(told_of(&mut bob, &id).await["data"], at_once["data"]);
        say(&mut ana, "g", "accepted").await;
        let refused = ana.next_of("error").await;
        assert_eq!(
            (&refused["re"], &refused["data"]["code"]),
            (&json!("g"), &json!("unavailable"))
        );
        let journals: Vec<bool> = heard
            .lock()
            .expect("no holder panics")
            .iter()
            .filter_map(|ask| match ask {
                Ask::Withdraw {
                    id: asked, journal, ..
                } if json!(asked) == id => Some(*journal),
                _ => None,
            })
            .collect();
        assert_eq!(
            journals[..2],
            [false, true],
            "in memory first, then written down"
        );
        assert!(
            journals[2..].iter().all(|journal| !journal),
            "and repeated, to whoever holds the meeting by then"
        );
        if stop {
            cluster.restart().await
        } else {
            cluster.freeze(false).await
        }
        // What was acknowledged is written by whoever acknowledged it; every socket then hears it
        // with its place.
        let committed = loop {
            let told = told_of(&mut bob, &id).await;
            if told["seq"].is_i64() {
                break told;
            }
        };
        assert_eq!(committed["data"]["status"], status);
    }
}

/// What comes next of this decision.
async fn told_of(client: &mut Client, id: &Value) -> Value {
    loop {
        let told = client.next_of("consent_updated").await;
        if told["data"]["id"] == *id {
            return told;
        }
    }
}

#[tokio::test]
async fn with_postgres_and_worker_away_nothing_is_claimed() {
    let cluster = Cluster::start().await;
    let world = World::on(&cluster, MeetingSettings::default()).await;
    let api = world.api().await;
    let (mut ana, _) = api.join(&world, world.invite("Ana").await).await;
    cluster.stop().await;
    say(&mut ana, "w", "withdrawn").await;
    let refused = ana.next().await.expect("an answer");
    assert_eq!(
        (&refused["type"], &refused["re"]),
        (&json!("error"), &json!("w"))
    );
    assert_eq!(refused["data"]["code"], "unavailable");
    // Somebody who wants in is asked to try again, not turned away.
    let mut late = api.connect().await;
    late.send(json!({"type": "join_room", "data": {"token": world.token(world.invite_later())}}))
        .await;
    assert_eq!(
        late.next().await.expect("an answer")["data"]["code"],
        "unavailable"
    );
}

#[tokio::test]
async fn required_bars_at_the_door_and_removes_who_takes_it_back() {
    let settings = MeetingSettings {
        consent_policy: ConsentPolicy::Required,
        ..MeetingSettings::default()
    };
    let world = World::with(settings).await;
    let api = world.api().await;
    worker(&world).await;
    let guest = world.invite("Ana").await;
    let mut client = api.connect().await;
    client
        .send(json!({"type": "join_room", "id": "j", "data": {"token": world.token(guest)}}))
        .await;
    let (got, code) = client.rest().await;
    assert_eq!(
        (&got[0]["re"], &got[0]["data"]["code"], code),
        (&json!("j"), &json!("consent_required"), Some(4003))
    );

    // By REST, through the same function.
    let said = consent::ConsentDecision {
        meeting: world.meeting,
        participant: guest.participant,
        id: hansard::domain::id::ConsentId(hansard::store::new_id()),
        consent_type: hansard::domain::consent::ConsentType::RecordingAi,
        status: ConsentStatus::Accepted,
        actor: "self".into(),
        statement: None,
        timestamp: world.clock.now(),
        once: None,
    };
    let caller = Caller {
        tenant: world.tenant,
        who: Who::Consenting(guest),
    };
    let asked = ConsentRequest {
        caller,
        user: None,
        decision: said,
        acting: None,
    };
    consent_request::carry_out(&api.state, asked)
        .await
        .expect("said");
    let (mut ana, joined) = api.join(&world, guest).await;
    assert_eq!(
        joined["consent"],
        json!({"recording": "accepted", "transcription": "accepted"})
    );
    let (mut observer, _) = api.observe(&world).await;
    ana.send(json!({"type": "consent", "id": "w", "data": {"consentType": "transcription", "status": "withdrawn"}}))
        .await;
    let (got, code) = ana.rest().await;
    assert_eq!(code, Some(4003));
    let kinds: Vec<&Value> = got.iter().map(|message| &message["type"]).collect();
    assert_eq!(
        kinds,
        ["consent_updated", "consent_updated", "participant_left"]
    );
    assert_eq!(got[0]["re"], "w");
    let last = seqs(&got).pop().expect("durable");
    assert_eq!(
        observer.up_to(last).await.last().expect("told")["data"]["id"],
        json!(guest.participant)
    );
}

/// What the socket said before, and what the log takes for it, keeps no withdrawal waiting: each
/// acts at once, and is written down long before the last of the grants would have been given up.
#[tokio::test]
async fn nothing_that_waits_delays_a_withdrawal() {
    const GRANTS: usize = 30;
    let cluster = Cluster::start().await;
    let world = World::on(&cluster, MeetingSettings::default()).await;
    let api = world.api().await;
    let heard = worker(&world).await;
    let guest = world.invite("Ana").await;
    let (mut ana, _) = api.join(&world, guest).await;
    cluster.freeze(true).await;
    ana.send(json!({"type": "leave", "id": "l"})).await;
    for n in 0..GRANTS {
        say(&mut ana, &format!("g{n}"), "accepted").await;
    }
    for kind in ["recording", "transcription"] {
        let data = json!({"consentType": kind, "status": "withdrawn"});
        ana.send(json!({"type": "consent", "id": kind, "data": data}))
            .await;
    }
    let acting = || {
        let heard = heard.lock().expect("no holder panics");
        let ids = heard.iter().filter_map(|ask| match ask {
            Ask::Withdraw { id, .. } => Some(*id),
            _ => None,
        });
        ids.collect::<std::collections::BTreeSet<_>>().len()
    };
    let (mut refused, mut told) = (Vec::new(), Vec::new());
    let mut hear = async |refused: &mut Vec<Value>, told: &mut Vec<Value>| {
        let message = ana.next().await.expect("an answer");
        match message["type"].as_str() {
            Some("error") => {
                assert_eq!(message["data"]["code"], "unavailable");
                refused.push(message["re"].clone());
            }
            _ if message["re"].is_string() => told.push(message["re"].clone()),
            _ => {}
        }
    };
    while !refused.contains(&json!("l")) {
        hear(&mut refused, &mut told).await;
    }
    assert_eq!(acting(), 2, "both act before leaving is given up");
    eventually(
        "both are written down",
        Duration::from_secs(30),
        async || api.state.unwritten.len() == 2,
    )
    .await;
    while refused.len() < GRANTS + 1 || told.len() < 2 {
        hear(&mut refused, &mut told).await;
    }
    assert_eq!(told, ["recording", "transcription"]);
    cluster.freeze(false).await;
    eventually("both are logged", Duration::from_secs(30), async || {
        api.state.unwritten.is_empty()
    })
    .await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let log = consent::whole(&mut tx, world.meeting).await.expect("read");
    let last: Vec<_> = log.iter().rev().take(2).map(|entry| entry.status).collect();
    assert_eq!(last, [ConsentStatus::Withdrawn; 2]);
    let person = presence::person(&mut tx, world.meeting, guest.participant)
        .await
        .expect("read");
    assert_eq!(
        person.consent,
        Answers {
            recording: Some(ConsentStatus::Withdrawn),
            transcription: Some(ConsentStatus::Withdrawn),
        }
    );
}
