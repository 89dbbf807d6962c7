//! The bounded queue before a thread of ours. Who pushes never waits.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub(crate) struct Inbox<T> {
    queue: Mutex<VecDeque<T>>,
    more: Condvar,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            more: Condvar::new(),
        }
    }
}

impl<T> Inbox<T> {
    /// Adds to the end unless `room` or more wait already. Different things may have different
    /// room, so that media fills the queue before orders do.
    pub fn push(&self, item: T, room: usize) -> bool {
        let mut queue = self.lock();
        if queue.len() >= room {
            return false;
        }
        queue.push_back(item);
        drop(queue);
        self.more.notify_one();
        true
    }

    /// Waits for something and takes all of it; after `nap` it may be nothing.
    pub fn take(&self, nap: Option<Duration>) -> VecDeque<T> {
        let mut queue = self.lock();
        while queue.is_empty() {
            match nap {
                None => {
                    queue = self
                        .more
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner)
                }
                Some(nap) => {
                    queue = self
                        .more
                        .wait_timeout(queue, nap)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                    break;
                }
            }
        }
        std::mem::take(&mut *queue)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
