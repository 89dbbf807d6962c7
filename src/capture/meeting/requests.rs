//! What `api` processes ask of a running meeting. Nothing here waits: what needs the store or the
//! disk is a task that answers by a [`Fact`].

use super::RunningMeeting;
use crate::{
    capture::{
        commit::Write,
        entry,
        fact::Fact,
        journal::{self, Withdrawal},
    },
    domain::meeting::Input,
    queue::{
        Responder,
        message::{Ask, Reply},
    },
};
use tracing::{Instrument, info_span};

impl RunningMeeting {
    /// Carries out one ask and answers it, now or by a [`Fact`].
    pub(super) fn ask(&mut self, ask: Ask, responder: Responder) {
        match ask {
            Ask::Alive => responder.reply(Reply::Done),
            Ask::Changed => {
                self.look();
                responder.reply(Reply::Done);
            }
            Ask::Sockets { api, participants } => {
                self.input(Input::Sockets { api, participants });
                responder.reply(Reply::Done);
            }
            Ask::Withdraw {
                id,
                participant,
                consent_type,
                status,
                actor,
                statement,
                received_at,
                once,
                journal,
            } => {
                let withdrawal = Withdrawal {
                    id,
                    tenant: self.holder.tenant,
                    meeting: self.meeting,
                    participant,
                    consent_type,
                    status,
                    actor,
                    statement,
                    received_at,
                    once,
                };
                self.withdrawn(&withdrawal);
                if !journal {
                    responder.reply(Reply::Withdrawn { journalled: false });
                    return;
                }
                let (spool, facts) = (self.deps.spool.clone(), self.facts.clone());
                tokio::spawn(
                    async move {
                        let written = tokio::task::spawn_blocking(move || {
                            journal::append(&spool, &withdrawal)
                        })
                        .await;
                        let journalled = matches!(written, Ok(Ok(())));
                        let _ = facts.send(Fact::Journalled(journalled, responder)).await;
                    }
                    .in_current_span(),
                );
            }
            Ask::OpenStream { stream } if self.tracks.is_open(stream) => {
                self.answer(responder, stream)
            }
            Ask::OpenStream { stream } => {
                let (deps, meeting, facts) = (self.deps.clone(), self.meeting, self.facts.clone());
                tokio::spawn(
                    async move {
                        let entered = entry::enter(&deps, meeting, stream, &facts).await;
                        let _ = facts
                            .send(Fact::Open(entered.map(Box::new), responder))
                            .await;
                    }
                    .instrument(info_span!("stream", id = %stream)),
                );
            }
            Ask::Streams => responder.reply(Reply::Streams {
                streams: self.streams_now(),
            }),
            Ask::CloseStream { stream, reason } => {
                self.close(stream, reason);
                responder.reply(Reply::Done);
            }
            Ask::Signal {
                participant,
                message,
            } => self.signal(participant, &message, responder),
            Ask::Whip {
                participant,
                session,
                asks,
            } => self.whip(participant, session, asks, responder),
        }
    }

    /// Memory first: the gate closes before this returns. The worker's own copy of the entry
    /// follows. Twice is once.
    pub(super) fn withdrawn(&mut self, withdrawal: &Withdrawal) {
        if !self.withdrawals.insert(withdrawal.id) {
            return;
        }
        let at = self.clock.of_wall(withdrawal.received_at);
        self.input(Input::Withdrawn {
            id: withdrawal.id,
            participant: withdrawal.participant,
            uses: withdrawal.consent_type.uses().to_vec(),
            status: withdrawal.status,
            at,
        });
        self.write(Write::Withdrawal(withdrawal.clone()));
    }
}
