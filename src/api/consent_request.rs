//! Requests that grant, decline or withdraw consent, over REST and on sockets: what waits around
//! the command that writes the decision.
//!
//! A grant is durable before it is anything else. A refusal or withdrawal acts first: the meeting's
//! worker is told in the same moment in which the log is written, and when the log cannot be
//! written, the worker writes it down for later.

use crate::{
    api::{
        acting::{Acting, CHECK_MAX, withdraw},
        auth::{Caller, Who},
        permit::{self, Operation},
        problem::Problem,
        repeat,
        state::Shared,
    },
    command::consent::{self, Before, Recorded},
    domain::{
        id::{MeetingId, ParticipantId, TenantId, UserId},
        participant::Role,
    },
    queue::message::Reply,
    store::{
        Tx,
        consent::{ConsentDecision, Entry},
        erasure, event, participant, user,
    },
};
use axum::http::StatusCode;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::timeout;

/// How long the log may take before a withdrawal is handed to the worker's journal. It acts at once
/// either way.
const LOG_MAX: Duration = Duration::from_millis(1500);
/// How long a grant may wait for the log; a withdrawal too, when only the database knows whose it
/// is.
const GRANT_MAX: Duration = Duration::from_secs(10);
/// What somebody asks to have written about consent.
pub struct ConsentRequest {
    pub caller: Caller,
    /// With an API key: whose consent it is. Everybody else speaks for itself.
    pub user: Option<UserId>,
    /// Its participant is found out here.
    pub decision: ConsentDecision,
    /// The withdrawal acts already, from its receipt on.
    pub acting: Option<Acting>,
}

/// Where the decision stands now.
#[derive(Debug)]
pub enum Outcome {
    /// In the ConsentLog; perhaps since before.
    Logged {
        entry: Box<Entry>,
        before: Option<Before>,
    },
    /// A withdrawal that acts, in the worker's journal, and repeated here until it is in the log.
    Acknowledged(Box<ConsentDecision>),
}

/// Acts at most once.
struct Act<'a> {
    state: &'a Shared,
    acting: Mutex<Option<Acting>>,
}

impl Act<'_> {
    fn begun(&self) -> Option<Acting> {
        self.acting.lock().clone()
    }

    fn now(&self, decision: &ConsentDecision) -> Acting {
        let mut acting = self.acting.lock();
        acting
            .get_or_insert_with(|| Acting::start(self.state, decision))
            .clone()
    }
}

/// Carries the request out. A withdrawal is told as soon as it acts, or stands in the log; then
/// what was committed.
///
/// # Errors
/// A [`Problem`]; a withdrawal may act all the same, it is only not written down.
pub async fn carry_out(state: &Shared, request: ConsentRequest) -> Result<Outcome, Problem> {
    let ConsentRequest {
        caller,
        user,
        mut decision,
        acting,
    } = request;
    permit::at_all(&caller, Operation::GiveConsent)?;
    let act = Act {
        state,
        acting: Mutex::new(acting),
    };
    // A token says who and where: a withdrawal with one needs nothing from the database to act.
    let token = caller
        .subject()
        .filter(|subject| subject.meeting == decision.meeting && user.is_none());
    let Some(subject) = token.filter(|_| !decision.status.accepts()) else {
        return match timeout(GRANT_MAX, write(state, &caller, user, decision, &act)).await {
            Ok(written) => written,
            Err(_) => Err(Problem::unavailable("the database cannot be reached")),
        };
    };
    decision.participant = subject.participant;
    if let Some(waiting) = decision
        .once
        .as_ref()
        .and_then(|request| state.unwritten.of(request))
    {
        return Ok(Outcome::Acknowledged(Box::new(waiting)));
    }
    let mut writing = std::pin::pin!(write(state, &caller, user, decision.clone(), &act));
    let written = match timeout(CHECK_MAX, &mut writing).await {
        Ok(written) => Some(written),
        Err(_) => {
            act.now(&decision);
            timeout(LOG_MAX, writing).await.ok()
        }
    };
    match written {
        Some(Ok(outcome)) => Ok(outcome),
        Some(Err(problem)) if problem.status() != StatusCode::SERVICE_UNAVAILABLE => Err(problem),
        _ => {
            let acting = act.now(&decision);
            match withdraw(state, &decision, true).await {
                Ok(Reply::Withdrawn { journalled: true }) => {
                    repeat::until_written(state, caller.tenant, decision.clone(), acting);
                    Ok(Outcome::Acknowledged(Box::new(decision)))
                }
                reply => {
                    tracing::warn!(?reply, "a withdrawal could not be written down");
                    Err(Problem::unavailable(
                        "neither the database nor the meeting's worker can be reached",
                    ))
                }
            }
        }
    }
}

/// Writes the log and tells of it. A refusal acts as soon as it is known to be one that counts,
/// unless it acts already: one that acted and then never stood in the log would hold the gate shut
/// against later grants.
async fn write(
    state: &Shared,
    caller: &Caller,
    user: Option<UserId>,
    mut decision: ConsentDecision,
    act: &Act<'_>,
) -> Result<Outcome, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    permit::on_meeting(
        &mut tx,
        caller,
        Operation::GiveConsent,
        decision.meeting,
        state.clock.now(),
    )
    .await?;
    event::lock(&mut tx, decision.meeting).await?;
    decision.participant = match (caller.subject(), user) {
        (Some(subject), None) => subject.participant,
        _ => speaker(&mut tx, caller, user, decision.meeting).await?,
    };
    let refuses = !decision.status.accepts();
    if !refuses && erasure::is_of(&mut tx, decision.meeting, decision.participant).await? {
        return Err(Problem::forbidden(
            "the user was erased: its consent can only be withdrawn",
        ));
    }
    // A request that comes again does not act again: what was said since then stands.
    let acting =
        (refuses && !consent::is_recorded(&mut tx, &decision).await?).then(|| act.now(&decision));
    let Recorded {
        entry,
        before,
        mut effects,
    } = consent::record(&mut tx, &decision).await?;
    let told = act.begun();
    if let Some(told) = told.filter(|_| before.is_some_and(|before| before.replayed)) {
        effects.extend(told.take_back(&mut tx, &decision).await?);
    }
    tx.commit().await?;
    if let (Some(acting), None) = (acting, before) {
        acting.publish(state, &decision);
    }
    state.publish(decision.meeting, effects);
    Ok(Outcome::Logged {
        entry: Box::new(entry),
        before,
    })
}

/// Whose consent it is: with an API key anybody's, else the caller's own.
async fn speaker(
    tx: &mut Tx,
    caller: &Caller,
    user: Option<UserId>,
    meeting: MeetingId,
) -> Result<ParticipantId, Problem> {
    let of = crate::store::meeting::of(tx, caller.tenant, meeting)
        .await?
        .ok_or_else(|| Problem::not_found("meeting"))?;
    let speaks = match (caller.who, user) {
        (Who::Server { .. }, None) => {
            return Err(Problem::field("/userId", "is required with an API key"));
        }
        (Who::Server { .. }, Some(user)) => {
            user::of(tx, caller.tenant, user)
                .await?
                .ok_or_else(|| Problem::field("/userId", "there is no such user"))?;
            if erasure::is_erased(tx, caller.tenant, user).await? {
                return Err(Problem::field("/userId", "the user was erased"));
            }
            user
        }
        (Who::Host(itself), None) => itself,
        (Who::Host(itself), Some(user)) if itself == user => user,
        (Who::Joined(subject) | Who::Resumed(subject) | Who::Consenting(subject), None) => {
            return Ok(subject.participant);
        }
        (Who::Joined(subject) | Who::Resumed(subject) | Who::Consenting(subject), Some(user)) => {
            return match participant::get(tx, meeting, subject.participant).await? {
                Some(itself) if itself.user_id == user.0 => Ok(subject.participant),
                _ => Err(Problem::forbidden(
                    "this credential speaks for its own user only",
                )),
            };
        }
        _ => {
            return Err(Problem::forbidden(
                "this credential speaks for its own user only",
            ));
        }
    };
    let role = if of.hosted_by(speaks) {
        Role::Host
    } else {
        Role::Participant
    };
    Ok(ParticipantId(
        participant::ensure(tx, TenantId(of.tenant_id), meeting, speaks, role)
            .await?
            .id,
    ))
}
