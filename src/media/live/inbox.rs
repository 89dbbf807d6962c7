//! The bounded queue before a thread of ours. Who pushes never waits.

use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, time::Duration};

pub(crate) struct Inbox<T> {
    waiting: Mutex<Waiting<T>>,
    more: Condvar,
}

struct Waiting<T> {
    queue: VecDeque<T>,
    /// Something in the queue is not to be gathered with what comes.
    urgent: bool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                queue: VecDeque::new(),
                urgent: false,
            }),
            more: Condvar::new(),
        }
    }
}

impl<T> Inbox<T> {
    /// Adds to the end unless `room` or more wait already. Different things may have different
    /// room, so that media fills the queue before orders do.
    pub fn push(&self, item: T, room: usize) -> bool {
        self.add(item, room, false)
    }

    /// The same, of what ends [`Inbox::gather`].
    pub fn push_urgent(&self, item: T, room: usize) -> bool {
        self.add(item, room, true)
    }

    fn add(&self, item: T, room: usize, urgent: bool) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.queue.len() >= room {
            return false;
        }
        let was_empty = waiting.queue.is_empty();
        waiting.queue.push_back(item);
        waiting.urgent |= urgent;
        drop(waiting);
        // Whoever waits was woken by the first, or gathers.
        if was_empty || urgent {
            self.more.notify_one();
        }
        true
    }

    /// Waits for something and takes all of it; after `nap` it may be nothing.
    pub fn take(&self, nap: Option<Duration>) -> VecDeque<T> {
        let mut waiting = self.waiting.lock();
        while waiting.queue.is_empty() {
            match nap {
                None => self.more.wait(&mut waiting),
                Some(nap) => {
                    self.more.wait_for(&mut waiting, nap);
                    break;
                }
            }
        }
        waiting.urgent = false;
        std::mem::take(&mut waiting.queue)
    }

    /// Lets things come together for so long, or until something is urgent.
    pub fn gather(&self, at_most: Duration) {
        let mut waiting = self.waiting.lock();
        let calm = |waiting: &mut Waiting<T>| !waiting.urgent;
        self.more.wait_while_for(&mut waiting, calm, at_most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_urgent_is_not_gathered_with_what_comes() {
        let inbox = Inbox::default();
        assert!(inbox.push(1, 10) && inbox.push_urgent(2, 10));
        let begun = Instant::now();
        inbox.gather(LONG);
        assert!(begun.elapsed() < LONG);
        assert_eq!(inbox.take(None), [1, 2]);
        std::thread::scope(|scope| {
            scope.spawn(|| inbox.push_urgent(3, 10));
            inbox.gather(LONG);
        });
        assert!(begun.elapsed() < LONG);
        assert_eq!(inbox.take(None), [3]);
    }

    #[test]
    fn what_comes_while_it_is_gathered_is_taken_afterwards() {
        let inbox = Inbox::default();
        assert!(inbox.push(1, 10));
        inbox.gather(Duration::from_millis(1));
        assert!(inbox.push(2, 10) && !inbox.push(3, 2));
        assert_eq!(inbox.take(None), [1, 2]);
    }
}
