//! What is about to be stored is noted in the inventory first, by one transaction at a time for all
//! meetings of the process: whoever comes while it is written shares the next one.

use crate::{
    domain::id::MeetingId,
    store::{
        Store,
        inventory::{self, Noted, Object},
    },
};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::{
    Mutex as Turn,
    oneshot::{self, error::TryRecvError},
};

/// The longest wait for Postgres, before others may try.
const ANSWER_MAX: Duration = Duration::from_secs(10);

type Told = Result<Noted, String>;

/// The process's one way of noting objects.
pub struct Noting {
    store: Store,
    waiting: Mutex<Vec<(Object, oneshot::Sender<Told>)>>,
    turn: Turn<()>,
}

impl Noting {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            waiting: Mutex::default(),
            turn: Turn::new(()),
        }
    }

    /// Notes an object; committed when this answers.
    ///
    /// # Errors
    /// What the database said, when it is away: to be asked again.
    pub async fn note(&self, object: Object) -> Result<Noted, String> {
        let (tell, mut told) = oneshot::channel();
        self.waiting.lock().push((object, tell));
        let _turn = self.turn.lock().await;
        match told.try_recv() {
            Ok(told) => return told,
            Err(TryRecvError::Closed) => {
                return Err("whoever wrote it stopped".to_owned());
            }
            Err(TryRecvError::Empty) => {}
        }
        let batch = std::mem::take(&mut *self.waiting.lock());
        let (objects, tells): (Vec<Object>, Vec<_>) = batch.into_iter().unzip();
        let noted = match tokio::time::timeout(ANSWER_MAX, self.write(&objects)).await {
            Ok(Ok(noted)) => Ok(noted),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!(
                "the database does not answer within {ANSWER_MAX:?}"
            )),
        };
        for (n, tell) in tells.into_iter().enumerate() {
            let told = noted.as_ref().map_err(Clone::clone);
            // Who does not wait any more needs no answer.
            let _ = tell.send(told.map(|noted| noted[n]));
        }
        told.try_recv()
            .unwrap_or_else(|_| Err("it was not among those written".to_owned()))
    }

    async fn write(&self, objects: &[Object]) -> anyhow::Result<Vec<Noted>> {
        let mut tx = self.store.worker_tx().await?;
        let noted = inventory::note(&mut tx, objects).await?;
        tx.commit().await?;
        Ok(noted)
    }

    /// These objects are deleted, and no row tells of them.
    ///
    /// # Errors
    /// The database's. Their rows stay then, and whoever cleans up deletes them once more.
    pub async fn gone(&self, meeting: MeetingId, keys: &[String]) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        inventory::stopped(&mut tx, meeting, keys).await?;
        inventory::going(&mut tx, meeting, keys).await?;
        inventory::gone(&mut tx, meeting, keys).await?;
        tx.commit().await?;
        Ok(())
    }
}
