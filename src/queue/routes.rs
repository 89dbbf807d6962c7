//! Who in this process listens to which meeting, and who holds it: the part that both queues share.

use super::{
    AskError,
    message::{Ask, Published, Reply},
};
use crate::domain::id::MeetingId;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

/// What one subscription holds before it lags: some 30 s of a lively meeting.
const TOLD_WAITING_MAX: usize = 1024;
/// Asks that wait for the loop of one meeting. It takes them within milliseconds; more than this
/// means that it hangs.
const ASKS_WAITING_MAX: usize = 512;
/// Of these, places that only a withdrawal takes: nothing else that is asked, however often, keeps
/// it out.
const ASKS_KEPT: usize = 256;

/// What a subscription hears.
#[derive(Clone, PartialEq, Debug)]
pub enum Notice {
    Published(Published),
    /// Something was lost: read the store.
    Lagged,
}

#[derive(Default)]
struct Tables {
    subscribers: HashMap<MeetingId, broadcast::Sender<Notice>>,
    serving: HashMap<MeetingId, (u64, mpsc::Sender<(Ask, Responder)>)>,
    servings: u64,
    closed: bool,
}

/// Lock order: this lock is innermost; nothing is called with it held.
#[derive(Default)]
pub(super) struct Routes {
    tables: Mutex<Tables>,
    /// Somebody began or ceased to listen or serve.
    pub(super) changed: Notify,
}

impl Routes {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock()
    }

    pub(super) fn subscribe(self: &Arc<Self>, meeting: MeetingId) -> Subscription {
        let mut tables = self.tables();
        let receiver = if tables.closed {
            broadcast::channel(1).1
        } else {
            tables
                .subscribers
                .entry(meeting)
                .or_insert_with(|| broadcast::channel(TOLD_WAITING_MAX).0)
                .subscribe()
        };
        drop(tables);
        self.changed.notify_one();
        Subscription {
            meeting,
            receiver,
            routes: self.clone(),
        }
    }

    pub(super) fn serve(self: &Arc<Self>, meeting: MeetingId) -> Serving {
        let (sender, receiver) = mpsc::channel(ASKS_WAITING_MAX);
        let mut tables = self.tables();
        tables.servings += 1;
        let number = tables.servings;
        if !tables.closed {
            tables.serving.insert(meeting, (number, sender));
        }
        drop(tables);
        self.changed.notify_one();
        Serving {
            meeting,
            number,
            receiver,
            routes: self.clone(),
        }
    }

    /// Hands on to those here who listen to the meeting.
    pub(super) fn publish(&self, meeting: MeetingId, message: Published) {
        if let Some(listeners) = self.tables().subscribers.get(&meeting) {
            // An error only says that nobody listens any more.
            let _ = listeners.send(Notice::Published(message));
        }
    }

    /// Tells the listeners of these meetings that they may have missed something.
    pub(super) fn lagged(&self, meetings: impl IntoIterator<Item = MeetingId>) {
        let tables = self.tables();
        for listeners in meetings
            .into_iter()
            .filter_map(|meeting| tables.subscribers.get(&meeting))
        {
            let _ = listeners.send(Notice::Lagged);
        }
    }

    /// Hands an ask to whoever holds the meeting here; the error goes back to the asker.
    pub(super) fn ask(&self, meeting: MeetingId, ask: Ask, responder: Responder) {
        let holder = self
            .tables()
            .serving
            .get(&meeting)
            .map(|(_, sender)| sender.clone());
        let refused = match holder {
            None => Some((responder, AskError::Nobody)),
            Some(holder) if !ask.is_withdrawal() && holder.capacity() <= ASKS_KEPT => {
                Some((responder, AskError::Unavailable))
            }
            Some(holder) => match holder.try_send((ask, responder)) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Full((_, responder))) => {
                    Some((responder, AskError::Unavailable))
                }
                Err(mpsc::error::TrySendError::Closed((_, responder))) => {
                    Some((responder, AskError::Nobody))
                }
            },
        };
        if let Some((responder, error)) = refused {
            responder.answer(Err(error));
        }
    }

    /// Which meetings somebody here listens to.
    pub(super) fn listened(&self) -> HashSet<MeetingId> {
        self.tables().subscribers.keys().copied().collect()
    }

    /// Which meetings are held here.
    pub(super) fn served(&self) -> HashSet<MeetingId> {
        self.tables().serving.keys().copied().collect()
    }

    pub(super) fn serves(&self, meeting: MeetingId) -> bool {
        self.tables().serving.contains_key(&meeting)
    }

    /// Ends all receivers, and those to come.
    pub(super) fn close(&self) {
        let mut tables = self.tables();
        tables.closed = true;
        tables.subscribers.clear();
        tables.serving.clear();
    }
}

/// What is told of one meeting, from the moment of [`super::Queue::subscribe`] on. Ends listening
/// when dropped.
pub struct Subscription {
    meeting: MeetingId,
    receiver: broadcast::Receiver<Notice>,
    routes: Arc<Routes>,
}

impl Subscription {
    /// The next thing told, in order; `None` once the queue is closed. Safe to cancel.
    pub async fn recv(&mut self) -> Option<Notice> {
        match self.receiver.recv().await {
            Ok(heard) => Some(heard),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Lagged),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Entry::Occupied(listeners) = self.routes.tables().subscribers.entry(self.meeting)
            && listeners.get().receiver_count() <= 1
        {
            listeners.remove();
        }
        self.routes.changed.notify_one();
    }
}

/// The asks of one meeting. Nobody holds the meeting any more when this is dropped.
pub struct Serving {
    meeting: MeetingId,
    number: u64,
    receiver: mpsc::Receiver<(Ask, Responder)>,
    routes: Arc<Routes>,
}

impl Serving {
    /// The next ask and the means to answer it; `None` once the queue is closed or another took
    /// over. Safe to cancel.
    pub async fn recv(&mut self) -> Option<(Ask, Responder)> {
        self.receiver.recv().await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Entry::Occupied(holder) = self.routes.tables().serving.entry(self.meeting)
            && holder.get().0 == self.number
        {
            holder.remove();
        }
        self.routes.changed.notify_one();
    }
}

/// What an answer travels back on.
type Answer = Box<dyn FnOnce(Result<Reply, AskError>) + Send>;

/// Answers one ask. Dropped unused, it tells the asker that nobody holds the meeting.
pub struct Responder(Option<Answer>);

impl Responder {
    pub(super) fn new(answer: impl FnOnce(Result<Reply, AskError>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    pub(super) fn pair() -> (Self, oneshot::Receiver<Result<Reply, AskError>>) {
        let (sender, receiver) = oneshot::channel();
        // The asker may have ceased to wait.
        (Self::new(move |answer| drop(sender.send(answer))), receiver)
    }

    /// Answers; never waits.
    pub fn reply(self, reply: Reply) {
        self.answer(Ok(reply));
    }

    pub(super) fn answer(mut self, answer: Result<Reply, AskError>) {
        if let Some(way) = self.0.take() {
            way(answer);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(way) = self.0.take() {
            way(Err(AskError::Nobody));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        consent::{ConsentStatus, ConsentType},
        id::{ConsentId, ParticipantId},
    };
    use uuid::Uuid;

    /// However much else is asked, a withdrawal has its place.
    #[tokio::test]
    async fn nothing_keeps_a_withdrawal_out() {
        let (routes, meeting) = (Arc::<Routes>::default(), MeetingId(Uuid::now_v7()));
        let mut serving = routes.serve(meeting);
        let ask = |ask: Ask| {
            let (responder, answer) = Responder::pair();
            routes.ask(meeting, ask, responder);
            answer
        };
        let mut answers: Vec<_> = (0..2 * ASKS_WAITING_MAX)
            .map(|_| ask(Ask::Changed))
            .collect();
        let refused = answers.iter_mut().map(oneshot::Receiver::try_recv);
        let refused = refused.filter(|answer| matches!(answer, Ok(Err(AskError::Unavailable))));
        assert!(refused.count() >= ASKS_WAITING_MAX, "the loop hangs");
        let mut withdrawn = ask(Ask::Withdraw {
            id: ConsentId(Uuid::now_v7()),
            participant: ParticipantId(Uuid::now_v7()),
            consent_type: ConsentType::Recording,
            status: ConsentStatus::Withdrawn,
            actor: "self".into(),
            statement: None,
            received_at: chrono::Utc::now(),
            once: None,
            journal: true,
        });
        assert!(withdrawn.try_recv().is_err(), "it waits for the loop");
        let mut heard = false;
        while !heard {
            let (ask, responder) = serving.recv().await.expect("asked");
            heard = ask.is_withdrawal();
            responder.reply(Reply::Withdrawn { journalled: true });
        }
        assert!(matches!(withdrawn.await, Ok(Ok(Reply::Withdrawn { .. }))));
    }
}
