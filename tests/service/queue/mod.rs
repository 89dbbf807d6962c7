//! One behaviour, two queues: every test of the suite runs on the in-process queue and on RabbitMQ,
//! there with two connections as two processes have.

use crate::support::{eventually, rabbitmq::RabbitMq};
use chrono::DateTime;
use hansard::{
    domain::{
        event::EventKind,
        id::{JobId, MeetingId},
        lease::Holder,
    },
    queue::{
        AskError, JobKind, Notice, Queue, Serving, Subscription, Unavailable,
        message::{Ask, Published, Reply, Wake},
    },
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;
use uuid::Uuid;

mod broker;

const SOON: Duration = Duration::from_secs(10);

fn meeting() -> MeetingId {
    MeetingId(Uuid::now_v7())
}

fn wake() -> Wake {
    Wake {
        job: JobId(Uuid::now_v7()),
    }
}

fn event(seq: i64) -> Published {
    let at = DateTime::from_timestamp_millis(1_000 * seq).expect("it is a time");
    Published::Event {
        seq,
        kind: EventKind::ParticipantJoined,
        at,
        data: serde_json::json!({ "n": seq }),
    }
}

async fn heard(subscription: &mut Subscription) -> Option<Notice> {
    timeout(SOON, subscription.recv())
        .await
        .expect("something is heard")
}

/// What is answered when one end asks and the other, which serves the meeting, has done it.
async fn answered(
    pair: &Pair,
    meeting: MeetingId,
    serving: &mut Serving,
) -> Result<Reply, AskError> {
    let serves = async {
        let (_, responder) = timeout(SOON, serving.recv())
            .await
            .expect("it comes")
            .expect("it is open");
        responder.reply(Reply::Done);
    };
    let ((), reply) = tokio::join!(serves, pair.one.ask(meeting, &Ask::Changed, SOON));
    reply
}

/// Two ends as two processes have them; the same thing twice where there is only one process.
struct Pair {
    one: Queue,
    other: Queue,
}

async fn reached(queue: &Queue) {
    eventually(
        "the broker is reached",
        Duration::from_secs(30),
        async || queue.unreachable_since().is_none(),
    )
    .await;
}

async fn connect(broker: &RabbitMq) -> Pair {
    let pair = Pair {
        one: Queue::amqp(&broker.url()).expect("it is an address"),
        other: Queue::amqp(&broker.url()).expect("it is an address"),
    };
    reached(&pair.one).await;
    reached(&pair.other).await;
    pair
}

macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        mod local {
            $(#[tokio::test] async fn $name() {
                let one = hansard::queue::Queue::local();
                super::$name(super::Pair { other: one.clone(), one }).await;
            })+
        }

        /// One after the other on one broker: a node takes seconds to start.
        #[tokio::test(flavor = "multi_thread")]
        async fn rabbitmq() {
            let broker = RabbitMq::start().await;
            $(
                eprintln!("rabbitmq: {}", stringify!($name));
                timeout(Duration::from_secs(60), $name(connect(&broker).await)).await.expect("it ends");
            )+
        }
    };
}

suite![
    each_wake_up_is_taken_once_and_by_kind,
    wake_ups_wait_for_somebody,
    nobody_waiting_leaves_wake_ups_to_others,
    what_is_told_is_heard_in_order_by_all_who_listen,
    a_slow_listener_learns_that_it_lost_something,
    asks_are_answered,
    without_a_holder_nobody_answers,
    a_holder_that_does_not_answer,
    listening_and_serving_can_begin_again,
    a_process_says_that_it_lives,
    after_close_everything_ends,
];

async fn each_wake_up_is_taken_once_and_by_kind(pair: Pair) {
    let mut takers = [pair.one.wakes(JobKind::Mix), pair.other.wakes(JobKind::Mix)];
    let mut tiers = pair.one.wakes(JobKind::Tier);
    let tier = wake();
    pair.one.wake(JobKind::Tier, &tier).await.expect("stored");
    let sent: Vec<Wake> = (0..40).map(|_| wake()).collect();
    for wake in &sent {
        pair.one.wake(JobKind::Mix, wake).await.expect("stored");
    }
    let mut taken = BTreeSet::new();
    let [first, second] = &mut takers;
    while taken.len() < sent.len() {
        let wake = timeout(SOON, async {
            tokio::select! { wake = first.recv() => wake, wake = second.recv() => wake }
        });
        let wake = wake.await.expect("one is there").expect("it is open");
        assert!(sent.contains(&wake));
        assert!(taken.insert(wake.job), "taken twice");
    }
    assert_eq!(
        timeout(SOON, tiers.recv()).await.expect("one is there"),
        Some(tier)
    );
    assert!(
        timeout(Duration::from_millis(300), first.recv())
            .await
            .is_err(),
        "none is left"
    );
}

async fn wake_ups_wait_for_somebody(pair: Pair) {
    let sent = wake();
    pair.one
        .wake(JobKind::Recover, &sent)
        .await
        .expect("stored");
    let mut wakes = pair.other.wakes(JobKind::Recover);
    assert_eq!(
        timeout(SOON, wakes.recv()).await.expect("it is there"),
        Some(sent)
    );
}

async fn nobody_waiting_leaves_wake_ups_to_others(pair: Pair) {
    let mut busy = pair.one.wakes(JobKind::Capture);
    let mut idle = pair.other.wakes(JobKind::Capture);
    // It looked for work once, and does not any more.
    assert!(
        timeout(Duration::from_millis(300), busy.recv())
            .await
            .is_err()
    );
    let sent: Vec<Wake> = (0..5).map(|_| wake()).collect();
    for wake in &sent {
        pair.one.wake(JobKind::Capture, wake).await.expect("stored");
    }
    let mut taken = BTreeSet::new();
    while taken.len() < sent.len() {
        let wake = timeout(SOON, idle.recv())
            .await
            .expect("all come here")
            .expect("it is open");
        taken.insert(wake.job);
    }
    assert!(
        timeout(Duration::from_millis(300), busy.recv())
            .await
            .is_err()
    );
}

async fn what_is_told_is_heard_in_order_by_all_who_listen(pair: Pair) {
    let (a, b) = (meeting(), meeting());
    let mut listeners = [
        pair.one.subscribe(a).await,
        pair.other.subscribe(a).await,
        pair.other.subscribe(a).await,
    ];
    let mut elsewhere = pair.other.subscribe(b).await;
    for seq in 1..=200 {
        pair.one.publish(a, &event(seq)).expect("there is room");
    }
    pair.one.publish(b, &event(1)).expect("there is room");
    for listener in &mut listeners {
        for seq in 1..=200 {
            assert_eq!(heard(listener).await, Some(Notice::Published(event(seq))));
        }
    }
    assert_eq!(
        heard(&mut elsewhere).await,
        Some(Notice::Published(event(1)))
    );
    assert!(
        timeout(Duration::from_millis(200), elsewhere.recv())
            .await
            .is_err()
    );
}

async fn a_slow_listener_learns_that_it_lost_something(pair: Pair) {
    let meeting = meeting();
    let mut slow = pair.other.subscribe(meeting).await;
    let mut quick = pair.other.subscribe(meeting).await;
    for first in (1..=3000).step_by(100) {
        for seq in first..first + 100 {
            pair.one
                .publish(meeting, &event(seq))
                .expect("there is room");
        }
        for seq in first..first + 100 {
            assert_eq!(heard(&mut quick).await, Some(Notice::Published(event(seq))));
        }
    }
    assert_eq!(heard(&mut slow).await, Some(Notice::Lagged));
    let mut last = 0;
    while last < 3000 {
        match heard(&mut slow).await {
            Some(Notice::Published(Published::Event { seq, .. })) => {
                assert!(seq > last);
                last = seq;
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn asks_are_answered(pair: Pair) {
    let meeting = meeting();
    let mut serving = pair.other.serve(meeting).await;
    let holder = tokio::spawn(async move {
        let mut asked = Vec::new();
        while let Some((ask, responder)) = serving.recv().await {
            responder.reply(match &ask {
                Ask::Changed => Reply::Done,
                _ => Reply::Stream {
                    ip: "127.0.0.1".to_owned(),
                    port: 40_000,
                },
            });
            asked.push(ask);
            if asked.len() == 21 {
                break;
            }
        }
        asked
    });
    let open = Ask::OpenStream {
        stream: Uuid::now_v7().into(),
    };
    let reply = pair.one.ask(meeting, &open, SOON).await;
    assert_eq!(
        reply,
        Ok(Reply::Stream {
            ip: "127.0.0.1".to_owned(),
            port: 40_000
        })
    );
    let many = (0..20).map(|_| pair.one.ask(meeting, &Ask::Changed, SOON));
    for reply in futures_util::future::join_all(many).await {
        assert_eq!(reply, Ok(Reply::Done));
    }
    assert_eq!(holder.await.expect("it does not panic")[0], open);
}

async fn without_a_holder_nobody_answers(pair: Pair) {
    let meeting = meeting();
    assert_eq!(
        pair.one.ask(meeting, &Ask::Changed, SOON).await,
        Err(AskError::Nobody)
    );
    let serving = pair.other.serve(meeting).await;
    drop(serving);
    eventually("the meeting is let go", SOON, async || {
        pair.one
            .ask(meeting, &Ask::Changed, Duration::from_secs(2))
            .await
            == Err(AskError::Nobody)
    })
    .await;
}

async fn a_holder_that_does_not_answer(pair: Pair) {
    let meeting = meeting();
    let mut serving = pair.other.serve(meeting).await;
    // The broker drops an ask that came to nobody by then.
    let short = Duration::from_secs(2);
    let asked = tokio::spawn({
        let one = pair.one.clone();
        async move { one.ask(meeting, &Ask::Changed, short).await }
    });
    let (ask, responder) = timeout(SOON, serving.recv())
        .await
        .expect("it comes")
        .expect("it is open");
    assert_eq!(ask, Ask::Changed);
    assert_eq!(
        asked.await.expect("it does not panic"),
        Err(AskError::Timeout)
    );
    // Too late, and no harm.
    responder.reply(Reply::Done);

    let asked = tokio::spawn({
        let one = pair.one.clone();
        async move { one.ask(meeting, &Ask::Changed, SOON).await }
    });
    drop(timeout(SOON, serving.recv()).await.expect("it comes"));
    assert_eq!(
        asked.await.expect("it does not panic"),
        Err(AskError::Nobody)
    );
}

async fn listening_and_serving_can_begin_again(pair: Pair) {
    let meeting = meeting();
    for round in 1..=30 {
        let mut subscription = pair.other.subscribe(meeting).await;
        pair.one
            .publish(meeting, &event(round))
            .expect("there is room");
        assert_eq!(
            heard(&mut subscription).await,
            Some(Notice::Published(event(round))),
            "round {round}"
        );
        let mut serving = pair.other.serve(meeting).await;
        let reply = answered(&pair, meeting, &mut serving).await;
        assert_eq!(reply, Ok(Reply::Done), "round {round}");
    }
    let mut before = pair.other.serve(meeting).await;
    let _after = pair.other.serve(meeting).await;
    assert!(
        timeout(SOON, before.recv())
            .await
            .expect("it ends")
            .is_none(),
        "another took over"
    );
}

async fn a_process_says_that_it_lives(pair: Pair) {
    let owner = Uuid::now_v7();
    assert_eq!(pair.one.is_alive(owner, SOON).await, Holder::Nobody);
    let living = pair.other.live_as(owner).await;
    assert_eq!(pair.one.is_alive(owner, SOON).await, Holder::Alive);
    let asked = (0..20).map(|_| pair.one.is_alive(owner, SOON));
    assert!(
        futures_util::future::join_all(asked)
            .await
            .iter()
            .all(|holder| *holder == Holder::Alive)
    );
    drop(living);
    eventually("it is gone", SOON, async || {
        pair.one.is_alive(owner, Duration::from_secs(2)).await == Holder::Nobody
    })
    .await;
    // One that hangs.
    let _serving = pair.other.serve(MeetingId(owner)).await;
    assert_eq!(
        pair.one.is_alive(owner, Duration::from_millis(300)).await,
        Holder::Silent
    );
}

async fn after_close_everything_ends(pair: Pair) {
    let meeting = meeting();
    let mut wakes = pair.one.wakes(JobKind::Clean);
    let mut subscription = pair.one.subscribe(meeting).await;
    let mut serving = pair.one.serve(meeting).await;
    timeout(SOON, pair.one.close())
        .await
        .expect("it is bounded");
    timeout(SOON, pair.other.close())
        .await
        .expect("it is bounded");
    assert_eq!(timeout(SOON, wakes.recv()).await.expect("it ends"), None);
    assert!(
        timeout(SOON, subscription.recv())
            .await
            .expect("it ends")
            .is_none()
    );
    assert!(
        timeout(SOON, serving.recv())
            .await
            .expect("it ends")
            .is_none()
    );
    assert_eq!(
        pair.one.wake(JobKind::Clean, &wake()).await,
        Err(Unavailable)
    );
    assert_eq!(pair.one.publish(meeting, &event(1)), Err(Unavailable));
    assert_eq!(
        pair.one.ask(meeting, &Ask::Changed, SOON).await,
        Err(AskError::Unavailable)
    );
    assert_eq!(
        pair.one.is_alive(Uuid::now_v7(), SOON).await,
        Holder::Unreachable
    );
    let mut later = timeout(SOON, pair.one.subscribe(meeting))
        .await
        .expect("it is bounded");
    assert!(
        timeout(SOON, later.recv())
            .await
            .expect("it ends")
            .is_none()
    );
}
