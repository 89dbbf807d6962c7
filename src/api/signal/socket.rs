//! One socket's life: `join_room` in time, replay, then reading and writing apart, so that a slow
//! reader never delays what it says itself. A withdrawal acts when it is read; what is logged and
//! what goes to the worker each has its queue, in order.

use super::{
    Signal,
    join::{Joined, NotJoined},
    message::{self, ClientMessage, ConsentData, FRAME_BYTES_MAX, Incoming, parse_client_message},
    outbox::Outbox,
    rate_limit::MessageRate,
    replay::ReplayOf,
    request_queue::{Asked, RequestQueues},
    room::Member,
    server_message::{DRAINING, DrainingAction, DrainingData, JOINED, PONG},
    writer::{LINGER, WRITE_MAX, write},
};
use crate::{
    api::{
        acting::Acting, auth::Caller, consent::ConsentInput, idempotency::IdempotencyKey,
        limit::ConnectionHandle,
    },
    command::leave::leave,
    domain::{
        close_code::Close,
        connections::Activity,
        error_code::ErrorCode,
        event::data,
        id::{ConsentId, MeetingId, ParticipantId, TenantId},
    },
    store::{StoreError, consent::ConsentDecision, new_id},
};
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{StreamExt, stream::SplitStream};
use serde_json::Value;
use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tracing::Instrument;

/// From the upgrade to `join_room`.
const JOIN_WITHIN: Duration = Duration::from_secs(5);
/// A socket from which nothing came for this long is gone, or does not read.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// The longest that leaving may take.
const LEAVE_MAX: Duration = Duration::from_secs(3);

impl Signal {
    /// Runs one socket to its end.
    pub(super) async fn run(
        self,
        socket: WebSocket,
        observes: Option<TenantId>,
        connection: Option<ConnectionHandle>,
    ) {
        let (sink, mut stream) = socket.split();
        let outbox = Arc::new(Outbox::default());
        let (first, firsts) = mpsc::channel(4);
        let writing = write(sink, firsts, outbox.clone()).in_current_span();
        let mut writer = self.tracker().spawn(writing);
        let close = tokio::select! {
            close = self.serve(&mut stream, &outbox, first, observes, connection) => close,
            () = self.draining().cancelled() => {
                let data = data(&DrainingData { action: DrainingAction::Reconnect });
                outbox.push(message::envelope(DRAINING, None, None, &data));
                Some(Close::Draining)
            }
        };
        // Whatever the client still sends is read, so that the close (or the answer to its own) is
        // not lost in a reset.
        let rest = async { while let Some(Ok(_)) = stream.next().await {} };
        tokio::pin!(rest);
        let mut gone = false;
        if let Some(close) = close {
            metrics::counter!("hansard_signal_closed_total", "code" => close.code().to_string())
                .increment(1);
            outbox.close(close);
            tokio::select! {
                _ = tokio::time::timeout(WRITE_MAX, &mut writer) => {}
                () = &mut rest => gone = true,
            }
        }
        if !gone {
            let _ = tokio::time::timeout(LINGER, rest).await;
        }
        writer.abort();
    }

    /// Why the server closes the socket; `None` when the client went.
    async fn serve(
        &self,
        stream: &mut SplitStream<WebSocket>,
        outbox: &Arc<Outbox>,
        first: mpsc::Sender<Utf8Bytes>,
        observes: Option<TenantId>,
        connection: Option<ConnectionHandle>,
    ) -> Option<Close> {
        let mut rate = MessageRate::new(Instant::now());
        // On the heap: what joining needs for a moment would else be held for as long as the socket
        // lives.
        let joining = Box::pin(self.wait_for_join(stream, &mut rate, &first, observes));
        let waited = tokio::time::timeout(JOIN_WITHIN, joining).await;
        let (joined, re) = match waited {
            Ok(Ok(joined)) => joined,
            Ok(Err(close)) => return close,
            Err(_) => return Some(Close::NoJoin),
        };
        let Some(_place) = self.place() else {
            let full = message::error(
                re.as_ref(),
                ErrorCode::Unavailable,
                "too many sockets are open here",
            );
            return say_first(&first, full)
                .await
                .err()
                .unwrap_or(Some(Close::Full));
        };
        if let Some(connection) = connection {
            connection.set(Activity::Joined);
        }
        let span = tracing::info_span!("meeting", id = %joined.meeting);
        self.attend(stream, outbox, first, rate, joined, re)
            .instrument(span)
            .await
    }

    /// One that joined, to its end.
    async fn attend(
        &self,
        stream: &mut SplitStream<WebSocket>,
        outbox: &Arc<Outbox>,
        first: mpsc::Sender<Utf8Bytes>,
        mut rate: MessageRate,
        joined: Joined,
        re: Option<Value>,
    ) -> Option<Close> {
        let number = self.number();
        joined
            .ticket
            .attach(Member {
                number,
                participant: joined.participant,
                seen_as: joined.seen_as,
                socket: joined.socket,
                outbox: outbox.clone(),
                joined: joined.seq,
                sent: joined.seq,
            })
            .await;
        // The writer takes `joined` and the replay first, then what the room put into the outbox
        // meanwhile.
        let answer = message::envelope(JOINED, re.as_ref(), None, &joined.data);
        let replaying = self
            .clone()
            .replay(ReplayOf::new(&joined), answer, first, outbox.clone());
        self.tracker().spawn(replaying.in_current_span());
        let queues = RequestQueues::new(self, &joined, outbox);
        let stays = joined.stays;
        let runs_out = async {
            match stays {
                Some(stays) => tokio::time::sleep(stays).await,
                None => std::future::pending().await,
            }
        };
        let close = tokio::select! {
            close = self.listen(stream, &mut rate, outbox, &joined, &queues) => close,
            () = runs_out => {
                outbox.push(message::error(None, ErrorCode::Unauthorized, "the token has run out"));
                Some(Close::NotAllowed)
            }
        };
        joined.ticket.detach(number).await;
        close
    }

    async fn wait_for_join(
        &self,
        stream: &mut SplitStream<WebSocket>,
        rate: &mut MessageRate,
        first: &mpsc::Sender<Utf8Bytes>,
        observes: Option<TenantId>,
    ) -> Result<(Joined, Option<Value>), Option<Close>> {
        loop {
            let Incoming { id, message } = match next(stream, rate, false).await? {
                Received::Message(incoming) => incoming,
                Received::Invalid(answer) => {
                    say_first(first, answer).await?;
                    continue;
                }
                Received::Alive => continue,
            };
            match message {
                ClientMessage::Join(join) => match self.join(&join, observes).await {
                    Ok(joined) => return Ok((joined, id)),
                    Err(NotJoined {
                        code,
                        message,
                        close,
                    }) => {
                        say_first(first, message::error(id.as_ref(), code, &message)).await?;
                        if close.is_some() {
                            return Err(close);
                        }
                    }
                },
                ClientMessage::Ping => say_first(first, pong(id.as_ref())).await?,
                _ => {
                    say_first(
                        first,
                        message::error(id.as_ref(), ErrorCode::NotJoined, "send join_room first"),
                    )
                    .await?
                }
            }
        }
    }

    /// Reads until the client goes or the server wants it gone.
    async fn listen(
        &self,
        stream: &mut SplitStream<WebSocket>,
        rate: &mut MessageRate,
        outbox: &Arc<Outbox>,
        joined: &Joined,
        queues: &RequestQueues,
    ) -> Option<Close> {
        loop {
            let incoming = tokio::select! {
                biased;
                close = outbox.closed() => return Some(close),
                incoming = tokio::time::timeout(SILENT_MAX, next(stream, rate, true)) => incoming,
            };
            let Incoming { id, message } = match incoming {
                Err(_) => return Some(Close::TooSlow),
                Ok(Err(close)) => return close,
                Ok(Ok(Received::Invalid(answer))) => {
                    outbox.push(answer);
                    continue;
                }
                Ok(Ok(Received::Alive)) => continue,
                Ok(Ok(Received::Message(incoming))) => incoming,
            };
            if let ControlFlow::Break(close) = self.take(id, message, outbox, joined, queues).await
            {
                return Some(close);
            }
        }
    }

    async fn take(
        &self,
        id: Option<Value>,
        message: ClientMessage,
        outbox: &Arc<Outbox>,
        joined: &Joined,
        queues: &RequestQueues,
    ) -> ControlFlow<Close> {
        let refuse =
            |code: ErrorCode, why: &str| outbox.push(message::error(id.as_ref(), code, why));
        match (message, joined.participant) {
            (ClientMessage::Join(_), _) => {
                refuse(ErrorCode::AlreadyJoined, "this socket has joined")
            }
            (ClientMessage::Ping, _) => outbox.push(pong(id.as_ref())),
            (ClientMessage::Leave, None) => return ControlFlow::Break(Close::Left),
            // What is said meanwhile, a withdrawal perhaps, is not kept waiting.
            (ClientMessage::Leave, Some(participant)) => {
                let Ok(place) = queues.leaving.clone().try_acquire_owned() else {
                    refuse(ErrorCode::Busy, "an earlier leave is under way");
                    return ControlFlow::Continue(());
                };
                let leaving = self
                    .clone()
                    .leave(joined.tenant, joined.meeting, participant);
                let outbox = outbox.clone();
                let leaving = async move {
                    let _place = place;
                    if leaving.await {
                        outbox.close(Close::Left);
                    } else {
                        outbox.push(message::error(
                            id.as_ref(),
                            ErrorCode::Unavailable,
                            "try again in a moment",
                        ));
                    }
                };
                self.tracker().spawn(leaving.in_current_span());
            }
            (_, None) => refuse(ErrorCode::Forbidden, "an observer only listens"),
            (ClientMessage::Consent(data), Some(participant)) => {
                let now = self.state().clock.now();
                let decision = decision(joined.tenant, joined.meeting, participant, data, now);
                let answered =
                    id.is_none() || outbox.expect(decision.id, id.clone().unwrap_or_default());
                if !decision.status.accepts() {
                    // Nothing limits it, and nothing that was said before delays it.
                    let acting = Acting::start_once(self.state(), joined.tenant, &decision);
                    queues.log().refuse(id.clone(), decision, acting).await;
                } else if !answered || !queues.log().grant(id.clone(), decision) {
                    refuse(
                        ErrorCode::Busy,
                        "too much waits to be logged; try again in a moment",
                    );
                }
            }
            (ClientMessage::Signal(signal), Some(_)) => {
                queues.ask(outbox, id, Asked::Worker(signal));
            }
            // Behind the offer that its stream is of.
            (ClientMessage::Mute(mute), Some(_)) => queues.ask(outbox, id, Asked::Mute(mute)),
        }
        ControlFlow::Continue(())
    }

    async fn leave(self, tenant: TenantId, meeting: MeetingId, participant: ParticipantId) -> bool {
        let left = async {
            let mut tx = self.state().store.tenant_tx(tenant).await?;
            let gone = leave(&mut tx, meeting, participant).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(gone)
        };
        match tokio::time::timeout(LEAVE_MAX, left).await {
            Ok(Ok(effects)) => {
                self.state().publish(meeting, effects);
                true
            }
            _ => false,
        }
    }
}

fn decision(
    tenant: TenantId,
    meeting: MeetingId,
    participant: ParticipantId,
    data: ConsentData,
    received: chrono::DateTime<chrono::Utc>,
) -> ConsentDecision {
    let key = data.idempotency_key.as_deref().and_then(IdempotencyKey::of);
    let said = ConsentInput {
        meeting_id: meeting.0,
        consent_type: data.consent_type,
        status: data.status,
        user_id: None,
        statement: data.statement,
        erase: None,
    };
    let speaker = Caller::speaking(tenant, meeting, participant, received);
    ConsentDecision {
        meeting,
        participant,
        id: ConsentId(new_id()),
        consent_type: said.consent_type,
        status: said.status,
        actor: "self".into(),
        once: key.and_then(|key| said.request(&speaker, key)),
        statement: said.statement,
        timestamp: received,
    }
}

fn pong(re: Option<&Value>) -> Utf8Bytes {
    message::envelope(PONG, re, None, &data(&message::Nothing {}))
}

async fn say_first(first: &mpsc::Sender<Utf8Bytes>, text: Utf8Bytes) -> Result<(), Option<Close>> {
    first.send(text).await.map_err(|_| None)
}

enum Received {
    Message(Incoming),
    /// Something that is not understood, with the answer to it.
    Invalid(Utf8Bytes),
    /// A sign of life with nothing to answer: the library answers pings.
    Alive,
}

/// What the client says next; `Err` when the socket is to end. Safe to cancel.
async fn next(
    stream: &mut SplitStream<WebSocket>,
    rate: &mut MessageRate,
    joined: bool,
) -> Result<Received, Option<Close>> {
    let message = match stream.next().await {
        None | Some(Ok(Message::Close(_))) => return Err(None),
        Some(Ok(message)) => message,
        Some(Err(error)) => return Err(too_large(&error).then_some(Close::TooLarge)),
    };
    let now = Instant::now();
    let Message::Text(text) = message else {
        return match message {
            _ if !rate.admits(false, now) => Err(Some(Close::TooManyMessages)),
            Message::Binary(_) => Ok(Received::Invalid(message::error(
                None,
                ErrorCode::Invalid,
                "only text frames are understood",
            ))),
            _ => Ok(Received::Alive),
        };
    };
    if text.as_str().len() > FRAME_BYTES_MAX {
        return Err(Some(Close::TooLarge));
    }
    let parsed = parse_client_message(text.as_str().as_bytes());
    let admitted = (joined && parsed.as_ref().is_ok_and(Incoming::refuses_consent))
        || rate.admits(parsed.as_ref().is_ok_and(Incoming::is_candidate), now);
    if !admitted {
        return Err(Some(Close::TooManyMessages));
    }
    Ok(match parsed {
        Ok(incoming) => Received::Message(incoming),
        Err(invalid) => Received::Invalid(message::error(
            invalid.re.as_ref(),
            ErrorCode::Invalid,
            &invalid.message,
        )),
    })
}

/// Whether the library refused a frame for its size. It says so only in words; a test holds it to
/// them.
fn too_large(error: &axum::Error) -> bool {
    error.to_string().contains("too long")
}
