//! What a socket has waiting for the log and for the worker: each a queue of its own, in order.

use super::{
    Signal,
    join::Joined,
    log::{Log, Waiting},
    message::{self, Mute},
    outbox::Outbox,
    server_message::MUTE,
};
use crate::{
    api::{
        auth::Caller,
        consent_request::{self, ConsentRequest, Outcome},
        holder::{self, ANSWER_MAX},
        problem::Problem,
    },
    command::mute::mute,
    domain::{
        error_code::ErrorCode,
        event::Event,
        id::{ConsentId, MeetingId, ParticipantId, TenantId},
    },
    queue::message::{Ask, Reply},
    store::{StoreError, consent::ConsentDecision},
};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, mpsc};
use tracing::Instrument;

/// What waits for the worker, per socket.
const WORKER_QUEUE_MAX: usize = 64;
type ToWorker = (Option<Value>, Asked);

/// What is carried out in the order in which the client said it.
pub(super) enum Asked {
    /// An offer, answer or candidate, for the worker.
    Worker(Value),
    Mute(Mute),
}

/// What takes longer than reading the next message; each in the order in which the client said it.
/// Begun when first needed: most sockets only listen.
pub(super) struct RequestQueues {
    signal: Signal,
    tenant: TenantId,
    meeting: MeetingId,
    participant: Option<ParticipantId>,
    outbox: Arc<Outbox>,
    log: OnceLock<Arc<Log>>,
    worker: OnceLock<mpsc::Sender<ToWorker>>,
    /// One leave at a time.
    pub leaving: Arc<Semaphore>,
}

impl RequestQueues {
    /// Both end when this is dropped, after what they hold.
    pub fn new(signal: &Signal, joined: &Joined, outbox: &Arc<Outbox>) -> Self {
        Self {
            signal: signal.clone(),
            tenant: joined.tenant,
            meeting: joined.meeting,
            participant: joined.participant,
            outbox: outbox.clone(),
            log: OnceLock::new(),
            worker: OnceLock::new(),
            leaving: Arc::new(Semaphore::new(1)),
        }
    }

    pub fn log(&self) -> &Log {
        self.log.get_or_init(|| {
            let log = Arc::new(Log::default());
            let task = write_down(
                self.signal.clone(),
                self.tenant,
                log.clone(),
                self.outbox.clone(),
            );
            self.signal.tracker().spawn(task.in_current_span());
            log
        })
    }

    /// Takes its place behind what was asked before, or is answered `busy`.
    pub fn ask(&self, outbox: &Outbox, re: Option<Value>, asked: Asked) {
        if let Err(full) = self.worker().try_send((re, asked)) {
            let (re, _) = full.into_inner();
            outbox.push(message::error(
                re.as_ref(),
                ErrorCode::Busy,
                "too much waits for the worker; try again in a moment",
            ));
        }
    }

    fn worker(&self) -> &mpsc::Sender<ToWorker> {
        self.worker.get_or_init(|| {
            let (worker, to_worker) = mpsc::channel(WORKER_QUEUE_MAX);
            if let Some(participant) = self.participant {
                let task = carry_out(
                    self.signal.clone(),
                    (self.tenant, self.meeting),
                    participant,
                    to_worker,
                    self.outbox.clone(),
                );
                self.signal.tracker().spawn(task.in_current_span());
            }
            worker
        })
    }
}

impl Drop for RequestQueues {
    fn drop(&mut self) {
        if let Some(log) = self.log.get() {
            log.close();
        }
    }
}

async fn write_down(signal: Signal, tenant: TenantId, log: Arc<Log>, outbox: Arc<Outbox>) {
    while let Some(Waiting {
        re,
        decision,
        acting,
        ..
    }) = log.next().await
    {
        let (id, accepts) = (decision.id, decision.status.accepts());
        let ConsentDecision {
            meeting,
            participant,
            timestamp: minted,
            ..
        } = decision;
        let asked = ConsentRequest {
            caller: Caller::speaking(tenant, meeting, participant, minted),
            user: None,
            decision,
            acting,
        };
        let given = tokio::select! {
            biased;
            outcome = consent_request::carry_out(signal.state(), asked) => outcome,
            // Nothing of a grant that is let go of stands in the log behind the refusal: its commit
            // holds the head's lock.
            () = log.is_kept_waiting(), if accepts => {
                refuse(&outbox, id, re, ErrorCode::Unavailable);
                for before in log.grants_before_a_refusal() {
                    refuse(&outbox, before.decision.id, before.re, ErrorCode::Unavailable);
                }
                continue;
            }
        };
        match given {
            // Nobody else hears anything: it was said before.
            Ok(Outcome::Logged {
                entry,
                before: Some(_),
            }) => {
                answer(&outbox, id, &entry.event());
            }
            // By another way, and waits there.
            Ok(Outcome::Acknowledged(waiting)) if waiting.id != id => {
                answer(&outbox, id, &waiting.event());
            }
            Ok(_) => {}
            Err(problem) => refuse(&outbox, id, re, code_of(&problem)),
        }
    }
}

/// A problem that a socket has no code for is one of ours.
fn code_of(problem: &Problem) -> ErrorCode {
    problem.name().parse().unwrap_or(ErrorCode::Internal)
}

fn answer(outbox: &Outbox, id: ConsentId, told: &Event) {
    if let Some(re) = outbox.expected(id) {
        let kind = told.kind().as_str();
        outbox.push(message::envelope(kind, Some(&re), None, &told.data()));
    }
}

fn refuse(outbox: &Outbox, id: ConsentId, re: Option<Value>, code: ErrorCode) {
    // Unless the withdrawal was told already because it acts.
    let re = outbox.expected(id).or(re);
    outbox.push(message::error(
        re.as_ref(),
        code,
        "it could not be written down; try again",
    ));
}

async fn carry_out(
    signal: Signal,
    (tenant, meeting): (TenantId, MeetingId),
    participant: ParticipantId,
    mut asked: mpsc::Receiver<ToWorker>,
    outbox: Arc<Outbox>,
) {
    while let Some((re, asked)) = asked.recv().await {
        let message = match asked {
            Asked::Worker(message) => message,
            Asked::Mute(mute) => {
                let told = tell_muted(&signal, tenant, meeting, participant, mute).await;
                outbox.push(match told {
                    Ok(()) => message::envelope(MUTE, re.as_ref(), None, &json!(mute)),
                    Err((code, why)) => message::error(re.as_ref(), code, why),
                });
                continue;
            }
        };
        // An offer waits until there is a worker.
        let patience = (message["type"] == "offer").then_some(ANSWER_MAX);
        let question = Ask::Signal {
            participant,
            message,
        };
        let queue = &signal.state().queue;
        let error = match holder::ask(queue, meeting, &question, patience).await {
            Ok(Reply::Signal { kind, data }) => {
                outbox.push(message::envelope(&kind, re.as_ref(), None, &data));
                continue;
            }
            Ok(Reply::Error { code, message }) => (code.into(), message),
            Ok(_) => continue,
            Err(error) => (ErrorCode::Unavailable, error.to_string()),
        };
        outbox.push(message::error(re.as_ref(), error.0, &error.1));
    }
}

/// Writes down and tells everybody; why not.
async fn tell_muted(
    signal: &Signal,
    tenant: TenantId,
    meeting: MeetingId,
    participant: ParticipantId,
    Mute { source, muted }: Mute,
) -> Result<(), (ErrorCode, &'static str)> {
    let telling = async {
        let mut tx = signal.state().store.tenant_tx(tenant).await?;
        let effects = mute(&mut tx, meeting, participant, source, muted).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(effects)
    };
    match tokio::time::timeout(ANSWER_MAX, telling).await {
        Ok(Ok(Some(effects))) => {
            signal.state().publish(meeting, effects);
            Ok(())
        }
        Ok(Ok(None)) => Err((
            ErrorCode::NoStream,
            "you have no open stream of this source",
        )),
        Ok(Err(_)) | Err(_) => Err((ErrorCode::Unavailable, "try again in a moment")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_did_is_told_apart_from_what_went_wrong_here() {
        for (error, code) in [
            (StoreError::TooMany("grants"), ErrorCode::TooMany),
            (StoreError::OtherBody, ErrorCode::Invalid),
            (StoreError::NotFound, ErrorCode::NotFound),
            (StoreError::Fenced, ErrorCode::Internal),
        ] {
            assert_eq!(code_of(&error.into()), code);
        }
    }
}
