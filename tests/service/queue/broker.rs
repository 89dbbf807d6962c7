//! What only a broker can do: die, freeze, come back.

use super::*;

/// It knows that it missed something, and hears what is told from then on. A broker that has just
/// come back may be lost once more, with what was told meanwhile.
async fn hears_again(pair: &Pair, meeting: MeetingId, listener: &mut Subscription, seq: i64) {
    let told = async || pair.one.publish(meeting, &event(seq)).is_ok();
    assert_eq!(heard(listener).await, Some(Notice::Lagged));
    eventually("it is told", SOON, told).await;
    loop {
        match heard(listener).await {
            Some(Notice::Lagged) => eventually("it is told again", SOON, told).await,
            heard => return assert_eq!(heard, Some(Notice::Published(event(seq)))),
        }
    }
}

/// What was confirmed survives; whoever listened and served does so again, and knows that it missed
/// something.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_and_comes_back() {
    let mut broker = RabbitMq::start().await;
    let pair = connect(&broker).await;
    let meeting = meeting();
    let mut subscription = pair.other.subscribe(meeting).await;
    let mut serving = pair.other.serve(meeting).await;
    let owner = Uuid::now_v7();
    let _living = pair.other.live_as(owner).await;
    let mut wakes = pair.other.wakes(JobKind::Mix);
    let confirmed: Vec<Wake> = (0..20).map(|_| wake()).collect();
    for wake in &confirmed {
        pair.one.wake(JobKind::Mix, wake).await.expect("stored");
    }

    broker.kill().await;
    eventually("the loss is noticed", SOON, async || {
        pair.one.unreachable_since().is_some() && pair.other.unreachable_since().is_some()
    })
    .await;
    assert_eq!(
        timeout(SOON, pair.one.wake(JobKind::Mix, &wake()))
            .await
            .expect("it is bounded"),
        Err(Unavailable)
    );
    assert_eq!(pair.one.publish(meeting, &event(1)), Err(Unavailable));
    let asked = timeout(
        SOON,
        pair.one.ask(meeting, &Ask::Changed, Duration::from_secs(2)),
    );
    assert_eq!(
        asked.await.expect("it is bounded"),
        Err(AskError::Unavailable)
    );
    assert_eq!(
        pair.one.is_alive(owner, Duration::from_secs(1)).await,
        Holder::Unreachable
    );
    // Somebody who begins to listen meanwhile hears later that it missed something.
    let new_meeting = super::meeting();
    let mut late = timeout(SOON, pair.other.subscribe(new_meeting))
        .await
        .expect("it is bounded");

    broker.restart().await;
    reached(&pair.one).await;
    // Who is not found right after the broker came back may only not be back itself.
    assert_eq!(
        pair.one.is_alive(Uuid::now_v7(), SOON).await,
        Holder::Unreachable
    );
    reached(&pair.other).await;
    assert_eq!(pair.one.is_alive(owner, SOON).await, Holder::Alive);
    assert_eq!(heard(&mut late).await, Some(Notice::Lagged));
    hears_again(&pair, meeting, &mut subscription, 2).await;
    let reply = answered(&pair, meeting, &mut serving).await;
    assert_eq!(reply, Ok(Reply::Done));
    let mut taken = BTreeSet::new();
    while taken.len() < confirmed.len() {
        let wake = timeout(Duration::from_secs(30), wakes.recv())
            .await
            .expect("none is lost")
            .expect("it is open");
        taken.insert(wake.job);
    }
    assert_eq!(taken, confirmed.iter().map(|wake| wake.job).collect());
}

/// The socket stays open and nothing moves: noticed all the same, and nothing hangs.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_freezes_is_noticed() {
    let broker = RabbitMq::start().await;
    let pair = connect(&broker).await;
    let meeting = meeting();
    let mut subscription = pair.other.subscribe(meeting).await;
    let _serving = pair.other.serve(meeting).await;
    broker.freeze(true);
    let asked = timeout(
        SOON,
        pair.one.ask(meeting, &Ask::Changed, Duration::from_secs(1)),
    );
    assert!(asked.await.expect("it is bounded").is_err());
    let lost = wake();
    let woken = timeout(SOON, pair.one.wake(JobKind::Mix, &lost));
    assert_eq!(woken.await.expect("it is bounded"), Err(Unavailable));
    eventually("the freeze is noticed", SOON, async || {
        pair.other.unreachable_since().is_some()
    })
    .await;
    broker.freeze(false);
    reached(&pair.one).await;
    reached(&pair.other).await;
    hears_again(&pair, meeting, &mut subscription, 1).await;
    timeout(SOON, pair.one.close())
        .await
        .expect("it is bounded");
}

#[tokio::test]
async fn without_a_broker_every_call_is_bounded() {
    let queue = Queue::amqp("amqp://127.0.0.1:1/%2f").expect("it is an address");
    assert!(queue.unreachable_since().is_some());
    assert_eq!(
        timeout(SOON, queue.wake(JobKind::Mix, &wake()))
            .await
            .expect("it is bounded"),
        Err(Unavailable)
    );
    let asked = timeout(SOON, queue.ask(meeting(), &Ask::Changed, SOON));
    assert_eq!(
        asked.await.expect("it is bounded"),
        Err(AskError::Unavailable)
    );
    timeout(SOON, queue.subscribe(meeting()))
        .await
        .expect("it is bounded");
    timeout(SOON, queue.serve(meeting()))
        .await
        .expect("it is bounded");
    timeout(SOON, queue.close()).await.expect("it is bounded");
    assert!(Queue::amqp("http://127.0.0.1").is_err());
}
