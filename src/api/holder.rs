//! Asks the worker that holds a meeting.

use super::problem::Problem;
use crate::{
    domain::{id::MeetingId, refusal::RefusalCode},
    queue::{
        AskError, Queue,
        message::{Ask, Reply},
    },
};
use std::time::{Duration, Instant};

/// The longest wait for one answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The longest wait for a worker that has to claim the meeting first.
pub const CLAIM_MAX: Duration = Duration::from_secs(5);
/// Between two tries while no worker holds the meeting.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Asks once; or, where there is a `patience`, until somebody holds the meeting or that is over. A
/// meeting gets its worker with its first participant, and another after a take-over.
pub async fn ask(
    queue: &Queue,
    meeting: MeetingId,
    question: &Ask,
    patience: Option<Duration>,
) -> Result<Reply, AskError> {
    let deadline = Instant::now() + patience.unwrap_or(ANSWER_MAX);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match queue.ask(meeting, question, left.min(ANSWER_MAX)).await {
            Err(AskError::Nobody) if patience.is_some() && left > 2 * TRY_AGAIN => {
                tokio::time::sleep(TRY_AGAIN).await;
            }
            answered => return answered,
        }
    }
}

/// A worker's refusal as a problem, unless it depends on what was asked.
pub fn refused(code: RefusalCode, message: String) -> Problem {
    match code {
        RefusalCode::ConsentRequired => Problem::consent_required(Vec::new()),
        RefusalCode::Ended => Problem::ended(),
        RefusalCode::Removed => Problem::removed(),
        RefusalCode::Invalid | RefusalCode::NotSupported => Problem::field("", message),
        RefusalCode::StaleOffer => Problem::precondition_failed(),
        RefusalCode::NotFound
        | RefusalCode::Glare
        | RefusalCode::Replaced
        | RefusalCode::Failed => Problem::conflict(message),
        RefusalCode::WebRtcUnavailable | RefusalCode::Unavailable => Problem::unavailable(message),
    }
}
