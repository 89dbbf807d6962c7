//! The queue within one process, for `serve` and `demo`.

use super::{
    AskError, JobKind, Unavailable,
    message::{Ask, Published, Reply, Wake},
    routes::{Responder, Routes, Serving, Subscription},
};
use crate::domain::id::MeetingId;
use parking_lot::{Mutex, MutexGuard};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Wake-ups of one kind that nobody took yet. More are refused; the sweeper offers their rows
/// again.
const WAKES_WAITING_MAX: usize = 4096;

/// Wake-ups of one kind. The same one waits only once.
#[derive(Default)]
struct Bay {
    waiting: Mutex<VecDeque<Wake>>,
    arrived: Notify,
}

impl Bay {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Wake>> {
        self.waiting.lock()
    }
}

#[derive(Default)]
struct Shared {
    bays: [Arc<Bay>; JobKind::ALL.len()],
    routes: Arc<Routes>,
    closed: tokio_util::sync::CancellationToken,
}

#[derive(Clone, Default)]
pub struct Local(Arc<Shared>);

impl Local {
    pub(super) fn wake(&self, kind: JobKind, wake: &Wake) -> Result<(), Unavailable> {
        if self.0.closed.is_cancelled() {
            return Err(Unavailable);
        }
        let bay = &self.0.bays[kind as usize];
        let mut waiting = bay.waiting();
        if waiting.contains(wake) {
            return Ok(());
        }
        if waiting.len() >= WAKES_WAITING_MAX {
            return Err(Unavailable);
        }
        waiting.push_back(wake.clone());
        drop(waiting);
        bay.arrived.notify_one();
        Ok(())
    }

    pub(super) fn wakes(&self, kind: JobKind) -> LocalWakes {
        LocalWakes {
            bay: self.0.bays[kind as usize].clone(),
            closed: self.0.closed.clone(),
        }
    }

    pub(super) fn publish(&self, meeting: MeetingId, told: &Published) -> Result<(), Unavailable> {
        if self.0.closed.is_cancelled() {
            return Err(Unavailable);
        }
        self.0.routes.publish(meeting, told.clone());
        Ok(())
    }

    pub(super) fn subscribe(&self, meeting: MeetingId) -> Subscription {
        self.0.routes.subscribe(meeting)
    }

    pub(super) async fn ask(
        &self,
        meeting: MeetingId,
        ask: &Ask,
        timeout: Duration,
    ) -> Result<Reply, AskError> {
        if self.0.closed.is_cancelled() {
            return Err(AskError::Unavailable);
        }
        let (responder, answer) = Responder::pair();
        self.0.routes.ask(meeting, ask.clone(), responder);
        match tokio::time::timeout(timeout, answer).await {
            Err(_) => Err(AskError::Timeout),
            Ok(Err(_)) => Err(AskError::Nobody),
            Ok(Ok(answer)) => answer,
        }
    }

    pub(super) fn serve(&self, meeting: MeetingId) -> Serving {
        self.0.routes.serve(meeting)
    }

    pub(super) fn close(&self) {
        self.0.closed.cancel();
        self.0.routes.close();
    }
}

pub struct LocalWakes {
    bay: Arc<Bay>,
    closed: tokio_util::sync::CancellationToken,
}

impl LocalWakes {
    pub(super) async fn recv(&mut self) -> Option<Wake> {
        loop {
            if self.closed.is_cancelled() {
                return None;
            }
            {
                let mut waiting = self.bay.waiting();
                if let Some(wake) = waiting.pop_front() {
                    if !waiting.is_empty() {
                        self.bay.arrived.notify_one();
                    }
                    return Some(wake);
                }
            }
            tokio::select! {
                () = self.bay.arrived.notified() => {}
                () = self.closed.cancelled() => {}
            }
        }
    }
}
