//! The bounded queue before a thread of ours. Who pushes never waits.

use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, time::Duration};

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
        let mut queue = self.queue.lock();
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
        let mut queue = self.queue.lock();
        while queue.is_empty() {
            match nap {
                None => self.more.wait(&mut queue),
                Some(nap) => {
                    self.more.wait_for(&mut queue, nap);
                    break;
                }
            }
        }
        std::mem::take(&mut *queue)
    }
}
