//! The rooms of this process: one task per meeting with sockets here, one subscription each, and
//! one query, several times a second, that shows what was lost.

use super::room::{Member, PAGE, Room};
use crate::{
    api::state::Shared,
    domain::{
        event::EventKind,
        id::{MeetingId, ParticipantId, TenantId},
    },
    queue::{
        Notice, Subscription,
        message::{Ask, Published},
    },
    store::{
        Result,
        event::{self, Head, StoredEvent},
    },
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeSet, HashMap, hash_map},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use uuid::Uuid;

/// How often heads are read: what is lost on its way, a removal too, is known this late. One query
/// for all meetings.
const HEADS: Duration = Duration::from_millis(400);
/// How often workers hear which sockets there are.
const BEAT: Duration = Duration::from_secs(2);
/// The longest that one beat's query or ask may take.
const BEAT_MAX: Duration = Duration::from_millis(1500);
/// The longest that one read of missing events may take.
const READ_LONGEST: Duration = Duration::from_secs(3);
/// What a room is told faster than it can take; beyond it the store repairs.
const COMMANDS_MAX: usize = 1024;
/// The longest wait for a room's subscription before a socket goes on without.
const READY_MAX: Duration = Duration::from_secs(3);

pub(super) enum Command {
    Attach(Member),
    Detach(u64),
    Published(Published),
    Head(Head),
}

struct Slot {
    users: usize,
    commands: mpsc::Sender<Command>,
    ready: watch::Receiver<bool>,
    empty: CancellationToken,
}

/// Lock order: this lock is innermost, and never held across an await.
pub(super) struct Rooms {
    state: Shared,
    /// This process, as workers know it.
    api: Uuid,
    slots: Mutex<HashMap<MeetingId, Slot>>,
    look: Notify,
    tracker: TaskTracker,
}

/// Keeps a room alive.
pub(super) struct Ticket {
    rooms: Arc<Rooms>,
    meeting: MeetingId,
    commands: mpsc::Sender<Command>,
}

impl Ticket {
    pub async fn attach(&self, member: Member) {
        // An error only says that the process stops.
        let _ = self.commands.send(Command::Attach(member)).await;
    }

    pub async fn detach(&self, number: u64) {
        let _ = self.commands.send(Command::Detach(number)).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let hash_map::Entry::Occupied(mut slot) = self.rooms.slots().entry(self.meeting) {
            slot.get_mut().users -= 1;
            if slot.get().users == 0 {
                slot.remove().empty.cancel();
            }
        }
    }
}

impl Rooms {
    pub fn new(state: Shared, tracker: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            state,
            api: Uuid::now_v7(),
            slots: Mutex::default(),
            look: Notify::new(),
            tracker,
        })
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<MeetingId, Slot>> {
        self.slots.lock()
    }

    /// A place in the meeting's room, which listens to the queue when this returns (or after
    /// [`READY_MAX`] soon).
    pub async fn enter(self: &Arc<Self>, tenant: TenantId, meeting: MeetingId) -> Ticket {
        let (ticket, mut ready) = {
            let mut slots = self.slots();
            let slot = slots.entry(meeting).or_insert_with(|| {
                let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
                let (is_ready, ready) = watch::channel(false);
                let empty = CancellationToken::new();
                let running = self
                    .clone()
                    .run(tenant, meeting, receiver, is_ready, empty.clone());
                // Not the span of the socket that happens to be the first.
                let span = tracing::info_span!(parent: None, "meeting", id = %meeting);
                self.tracker.spawn(running.instrument(span));
                Slot {
                    users: 0,
                    commands,
                    ready,
                    empty,
                }
            });
            slot.users += 1;
            let ticket = Ticket {
                rooms: self.clone(),
                meeting,
                commands: slot.commands.clone(),
            };
            (ticket, slot.ready.clone())
        };
        // Late, or over: the store repairs.
        let _ = tokio::time::timeout(READY_MAX, ready.wait_for(|ready| *ready)).await;
        ticket
    }

    /// Tells the meeting's room in this process, whatever becomes of the queue.
    pub fn publish(&self, meeting: MeetingId, told: Published) {
        if let Some(slot) = self.slots().get(&meeting) {
            // A full room reads the store at the next beat.
            let _ = slot.commands.try_send(Command::Published(told));
        }
    }

    async fn run(
        self: Arc<Self>,
        tenant: TenantId,
        meeting: MeetingId,
        mut commands: mpsc::Receiver<Command>,
        ready: watch::Sender<bool>,
        empty: CancellationToken,
    ) {
        let mut subscription = Some(self.state.queue.subscribe(meeting).await);
        ready.send_replace(true);
        let (sockets, changed) = watch::channel(BTreeSet::new());
        let beating = self.clone().beat(meeting, changed, empty.clone());
        self.tracker.spawn(beating.in_current_span());
        let mut room = Room::default();
        let mut reading: Option<JoinHandle<Result<Vec<StoredEvent>>>> = None;
        loop {
            let now = Instant::now();
            if reading.is_none()
                && let Some(after) = room.next_read(now)
            {
                metrics::counter!("hansard_signal_repairs_total").increment(1);
                let reads = read(self.state.clone(), tenant, meeting, after);
                reading = Some(tokio::spawn(reads.in_current_span()));
            }
            let deadline = room.deadline();
            tokio::select! {
                biased;
                () = empty.cancelled() => break,
                command = commands.recv() => match command {
                    Some(Command::Attach(member)) => room.attach(member, Instant::now()),
                    Some(Command::Detach(number)) => room.detach(number),
                    Some(Command::Published(told)) => room.published(told, Instant::now()),
                    Some(Command::Head(head)) => room.head(&head, self.state.clock.now(), Instant::now()),
                    None => break,
                },
                next = next_notice(&mut subscription) => match next {
                    Some(Notice::Published(told)) => {
                        let ends = matches!(&told, Published::Event { kind: EventKind::RecordingState, .. });
                        room.published(told, Instant::now());
                        if ends {
                            // The meeting may have ended: see without waiting for the beat.
                            self.look.notify_one();
                        }
                    }
                    Some(Notice::Lagged) => room.doubt(),
                    None => subscription = None,
                },
                events = finished(&mut reading) => {
                    reading = None;
                    match events {
                        Ok(events) => room.read(events, Instant::now()),
                        Err(error) => {
                            tracing::debug!(%error, "events could not be read");
                            room.read_failed(Instant::now());
                        }
                    }
                }
                () = until(deadline) => room.tick(Instant::now()),
            }
            let here = room.participants();
            sockets.send_if_modified(|before| {
                let differs = *before != here;
                if differs {
                    *before = here;
                }
                differs
            });
        }
        if let Some(reading) = reading {
            reading.abort();
        }
    }

    /// Tells the meeting's worker which participants have a socket here: at every change, every
    /// beat, and at the end that there are none.
    async fn beat(
        self: Arc<Self>,
        meeting: MeetingId,
        mut sockets: watch::Receiver<BTreeSet<ParticipantId>>,
        empty: CancellationToken,
    ) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                () = empty.cancelled() => true,
                changed = sockets.changed() => changed.is_err(),
                _ = beat.tick() => false,
            };
            let participants = if over {
                Vec::new()
            } else {
                sockets.borrow_and_update().iter().copied().collect()
            };
            let ask = Ask::Sockets {
                api: self.api,
                participants,
            };
            if let Err(error) = self.state.queue.ask(meeting, &ask, BEAT_MAX).await {
                tracing::trace!(%error, "the worker did not hear which sockets there are");
            }
            if over {
                return;
            }
        }
    }

    /// Reads the heads of all meetings with sockets here, now and then and when asked to, until
    /// stopped.
    pub async fn watch_heads(self: Arc<Self>, stopped: CancellationToken) {
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = self.look.notified() => {}
                () = tokio::time::sleep(HEADS) => {}
            }
            let meetings: Vec<MeetingId> = self.slots().keys().copied().collect();
            if meetings.is_empty() {
                continue;
            }
            let heads = match tokio::time::timeout(BEAT_MAX, self.heads(&meetings)).await {
                Ok(Ok(heads)) => heads,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "heads could not be read");
                    continue;
                }
                Err(_) => continue,
            };
            for head in heads {
                if let Some(slot) = self.slots().get(&head.meeting) {
                    let _ = slot.commands.try_send(Command::Head(head));
                }
            }
        }
    }

    async fn heads(&self, meetings: &[MeetingId]) -> Result<Vec<Head>> {
        // Meetings of all tenants at once, hence the workers' role.
        let mut tx = self.state.store.worker_tx().await?;
        event::heads(&mut tx, meetings).await
    }
}

async fn next_notice(subscription: &mut Option<Subscription>) -> Option<Notice> {
    match subscription {
        Some(subscription) => subscription.recv().await,
        None => std::future::pending().await,
    }
}

async fn finished(
    reading: &mut Option<JoinHandle<Result<Vec<StoredEvent>>>>,
) -> Result<Vec<StoredEvent>> {
    match reading {
        Some(reading) => reading
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into())),
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn read(
    state: Shared,
    tenant: TenantId,
    meeting: MeetingId,
    after: i64,
) -> Result<Vec<StoredEvent>> {
    let events = async {
        let mut tx = state.store.tenant_tx(tenant).await?;
        event::after(&mut tx, meeting, after, PAGE).await
    };
    tokio::time::timeout(READ_LONGEST, events)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into()))
}
