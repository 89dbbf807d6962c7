//! What the gate let in: media with its purpose as a type, so that recording and transcription are
//! never mixed up, and with the pass that later exits ask about.

use crate::{
    consent::Use,
    id::ParticipantId,
    time::{Micros, Span},
};
use std::{fmt, marker::PhantomData};

mod sealed {
    pub trait Sealed {}
}

/// A use as a type, so that the compiler keeps recording and transcription apart.
pub trait Purpose: sealed::Sealed + Send + Sync + 'static {
    const USE: Use;
}

/// Into a file.
#[derive(Clone, Copy, Debug)]
pub struct Recording;
/// Into words.
#[derive(Clone, Copy, Debug)]
pub struct Transcription;

impl sealed::Sealed for Recording {}
impl sealed::Sealed for Transcription {}
impl Purpose for Recording {
    const USE: Use = Use::Recording;
}
impl Purpose for Transcription {
    const USE: Use = Use::Transcription;
}

/// Whose sound, when it was made, and the consent entry that allowed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pass {
    pub participant: ParticipantId,
    pub span: Span,
    /// The ConsentLog entry behind it.
    pub entry: i64,
    /// How much later than its place it may have been made ([`late()`](crate::late::late)): a
    /// withdrawal cuts it by the later of both.
    pub late: Micros,
}

/// Media that passed the gate for the purpose `P`. Only [`Gate::admit`](super::Gate::admit) makes
/// one.
pub struct Admitted<P, T> {
    value: T,
    pass: Pass,
    purpose: PhantomData<fn() -> P>,
}

impl<P: Purpose, T> Admitted<P, T> {
    /// For the gate alone.
    pub(super) fn new(value: T, pass: Pass) -> Self {
        Self {
            value,
            pass,
            purpose: PhantomData,
        }
    }

    pub fn pass(&self) -> Pass {
        self.pass
    }

    pub fn value(&self) -> &T {
        &self.value
    }

    /// Takes the media out; the pass goes with it so that later exits can still ask.
    pub fn into_parts(self) -> (T, Pass) {
        (self.value, self.pass)
    }

    /// The same media in another form (decoded, encoded, wrapped).
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Admitted<P, U> {
        Admitted {
            value: f(self.value),
            pass: self.pass,
            purpose: PhantomData,
        }
    }

    /// Adds later media under the same grant; gives it back when participant or entry differ.
    pub fn extend<U>(
        &mut self,
        next: Admitted<P, U>,
        join: impl FnOnce(&mut T, U),
    ) -> Result<(), Admitted<P, U>> {
        if next.pass.participant != self.pass.participant || next.pass.entry != self.pass.entry {
            return Err(next);
        }
        self.pass.span = self.pass.span.cover(next.pass.span);
        self.pass.late = self.pass.late.max(next.pass.late);
        join(&mut self.value, next.value);
        Ok(())
    }
}

impl<P: Purpose, T> fmt::Debug for Admitted<P, T> {
    /// Never prints the media.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admitted<{}>({:?})", P::USE.as_str(), self.pass)
    }
}
