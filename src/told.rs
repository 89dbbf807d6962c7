//! A committed event as everybody is told of it. Apart, because `store` and `queue` know nothing of each other.

use crate::{queue::message::Told, store::event::Event};

impl From<Event> for Told {
    fn from(Event { seq, kind, at, data }: Event) -> Self {
        Self::Event { seq, kind, at, data }
    }
}
