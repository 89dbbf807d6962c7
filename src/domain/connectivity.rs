//! Whether a sender that falls silent is mute or cut off, by its other signs of life.
//!
//! Within one stream, numbers say what was sent and did not come. They say nothing when a sender
//! stops numbering because its network is gone, or comes back with another connection. Then the
//! other signs decide: a sender whose connection goes on answering is mute, one whose connection
//! fell silent together with its media was cut off, and what it did not send is lost.
//!
//! *ICE checks* come by themselves ([`Signs::Checks`]; every 4 to 6 s, RFC 7675 5.1). *RTCP* many
//! senders write only beside media ([`Signs::Reports`]): while such a stream goes on its numbers
//! decide, and only where another takes its place without a goodbye the reports do. Of who sends no
//! RTCP nothing can be told but that it was silent: it counts as mute.

use crate::{
    recording::MUTED_MIN,
    stream::CloseReason,
    time::{MeetingTime, Micros, Span},
};

/// Without any sign of life for this long a sender was not connected: two checks, or two reports,
/// did not come.
pub const SILENT: Micros = Micros::from_secs(10);
/// From the first sign of life after an interruption to media: a new connection takes a moment.
const RESUMES_WITHIN: Micros = Micros::from_secs(5);

/// What of a sender shows that it is there, beside media.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signs {
    /// ICE checks.
    Checks,
    /// RTCP, if any.
    Reports,
}

/// One source of one participant, over all its streams.
#[derive(Clone, Debug)]
pub struct Connectivity {
    signs: Signs,
    /// The last media of the stream that there is.
    media: Option<MeetingTime>,
    /// Its last other sign of life.
    sign: Option<MeetingTime>,
    /// It was cut off, and no media has come since.
    cut_off: Option<CutOff>,
}

#[derive(Clone, Copy, Debug)]
struct CutOff {
    since: MeetingTime,
    /// When it could be heard again.
    until: Option<MeetingTime>,
}

impl Connectivity {
    pub const fn new(signs: Signs) -> Self {
        Self {
            signs,
            media: None,
            sign: None,
            cut_off: None,
        }
    }

    /// Another stream of the source begins.
    pub fn opened(&mut self, signs: Signs) {
        (self.signs, self.media, self.sign) = (signs, None, None);
    }

    /// A packet of media. Answers with what is lost before it, as far as numbers may not tell.
    pub fn media(&mut self, at: MeetingTime) -> Option<Span> {
        self.heard(at);
        self.media = Some(at);
        let CutOff { since, until } = self.cut_off.take()?;
        let until = until.filter(|until| at - *until > RESUMES_WITHIN);
        Some(Span::new(since, until.unwrap_or(at)))
    }

    /// An ICE check, or RTCP.
    pub fn sign(&mut self, at: MeetingTime) {
        self.heard(at);
        self.sign = self.sign.max(Some(at));
    }

    /// Its end of the connection, or ours, says that it is over. That is no sign that it was there
    /// until now.
    pub fn goodbye(&mut self, at: MeetingTime) {
        self.heard(at);
    }

    /// It goes on with other numbers.
    pub fn anew(&mut self, at: MeetingTime) {
        if self.signs == Signs::Reports {
            self.interrupted(at, Some(at));
            (self.media, self.sign) = (None, None);
        }
    }

    /// Its stream is closed. Answers with what is lost by now, should it come back.
    pub fn closed(&mut self, why: CloseReason, at: MeetingTime) -> Option<Span> {
        let silent = self.media.max(self.sign).is_none();
        match why {
            // A new connection takes the place only of one that can be given up.
            CloseReason::Replaced if self.signs == Signs::Checks => match &mut self.cut_off {
                Some(cut_off) if silent => cut_off.until = Some(at),
                Some(_) => {}
                None => self.cut_off = self.cut(Some(at)),
            },
            CloseReason::Replaced => self.interrupted(at, Some(at)),
            CloseReason::Left | CloseReason::Idle => self.interrupted(at, None),
            // It said so itself, or could not be taken.
            CloseReason::Request
            | CloseReason::Bye
            | CloseReason::Removed
            | CloseReason::Moved
            | CloseReason::NotSupported
            | CloseReason::Unavailable
            | CloseReason::Failed
            | CloseReason::ClockRate => {}
        }
        (self.media, self.sign) = (None, None);
        let CutOff { since, until } = self.cut_off?;
        Some(Span::new(since, until.unwrap_or(at)))
    }

    /// It is there.
    fn heard(&mut self, at: MeetingTime) {
        if self.signs == Signs::Checks {
            self.interrupted(at, Some(at));
        }
    }

    /// Notes an interruption, if there is one by now. `until`: when it ends, as far as that is
    /// known.
    fn interrupted(&mut self, at: MeetingTime, until: Option<MeetingTime>) {
        let known = self.signs == Signs::Checks || self.sign.is_some();
        let last = self.media.max(self.sign);
        if known && last.is_some_and(|last| at - last >= SILENT) && self.cut_off.is_none() {
            self.cut_off = self.cut(until);
        }
    }

    /// Since its last media, unless it was mute by then.
    fn cut(&self, until: Option<MeetingTime>) -> Option<CutOff> {
        let since = self.media?;
        let was_mute = self.sign.is_some_and(|sign| sign - since >= MUTED_MIN);
        (!was_mute).then_some(CutOff { since, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(s: i64) -> MeetingTime {
        MeetingTime::from_ms(s * 1_000)
    }

    const fn span(from: i64, to: i64) -> Option<Span> {
        Some(Span::new(s(from), s(to)))
    }

    /// Sends for ten seconds, with a sign of life each five.
    fn sending(signs: Signs) -> Connectivity {
        let mut of = Connectivity::new(signs);
        for ms in (0..=10_000).step_by(20) {
            let at = MeetingTime::from_ms(ms);
            if ms % 5_000 == 0 {
                of.sign(at);
            }
            assert_eq!(of.media(at), None);
        }
        of
    }

    #[test]
    fn a_connection_that_answers_while_nothing_is_sent_is_mute() {
        let mut of = sending(Signs::Checks);
        for at in [13, 18, 23, 28, 33, 38, 43] {
            of.sign(s(at));
        }
        assert_eq!(of.media(s(45)), None);
        // Also where it is replaced or given up.
        for why in [CloseReason::Replaced, CloseReason::Left] {
            let mut of = sending(Signs::Checks);
            for at in [13, 18] {
                of.sign(s(at));
            }
            assert_eq!(of.closed(why, s(48)), None, "{why}");
            of.opened(Signs::Checks);
            assert_eq!(of.media(s(60)), None, "{why}");
        }
    }

    #[test]
    fn a_connection_that_falls_silent_with_its_media_was_cut_off() {
        // The same connection, which goes on by a check or by media.
        let mut of = sending(Signs::Checks);
        of.sign(s(30));
        assert_eq!(of.media(s(31)), span(10, 31));
        assert_eq!(of.media(s(32)), None);
        let mut of = sending(Signs::Checks);
        assert_eq!(of.media(s(31)), span(10, 31));
        // Less than two checks that did not come are no interruption.
        let mut of = sending(Signs::Checks);
        assert_eq!(of.media(s(19)), None);
        // Mute from where it came back.
        let mut of = sending(Signs::Checks);
        for at in [30, 35, 40, 45] {
            of.sign(s(at));
        }
        assert_eq!(of.media(s(46)), span(10, 30));
    }

    #[test]
    fn a_new_connection_in_the_place_of_one_that_died_loses_what_is_between() {
        let mut of = sending(Signs::Checks);
        assert_eq!(of.closed(CloseReason::Replaced, s(14)), span(10, 14));
        of.opened(Signs::Checks);
        of.sign(s(15));
        assert_eq!(of.media(s(16)), span(10, 16));
        // One that did not come about in between changes nothing.
        let mut of = sending(Signs::Checks);
        of.closed(CloseReason::Replaced, s(14));
        of.opened(Signs::Checks);
        assert_eq!(of.closed(CloseReason::Replaced, s(28)), span(10, 28));
        of.opened(Signs::Checks);
        of.sign(s(29));
        assert_eq!(of.media(s(30)), span(10, 30));
        // Its participant was gone meanwhile.
        let mut of = sending(Signs::Checks);
        assert_eq!(of.closed(CloseReason::Left, s(41)), span(10, 41));
        of.opened(Signs::Checks);
        assert_eq!(of.media(s(90)), span(10, 90));
        // Who leaves by its own will is not cut off.
        let mut of = sending(Signs::Checks);
        assert_eq!(of.closed(CloseReason::Left, s(11)), None);
        of.opened(Signs::Checks);
        assert_eq!(of.media(s(90)), None);
    }

    #[test]
    fn who_says_goodbye_or_closes_a_stream_is_not_cut_off() {
        for why in [CloseReason::Bye, CloseReason::Request] {
            for signs in [Signs::Checks, Signs::Reports] {
                let mut of = sending(signs);
                assert_eq!(of.closed(why, s(15)), None, "{why}");
                of.opened(signs);
                assert_eq!(of.media(s(60)), None, "{why}");
            }
        }
        // Said because nobody was there any more.
        let mut of = sending(Signs::Checks);
        of.goodbye(s(50));
        assert_eq!(of.closed(CloseReason::Bye, s(55)), span(10, 50));
        // Said because another connection takes its place.
        let mut of = sending(Signs::Checks);
        of.goodbye(s(14));
        assert_eq!(of.closed(CloseReason::Replaced, s(14)), span(10, 14));
        // A goodbye that comes when the network is back again says nothing of the time before.
        let mut of = sending(Signs::Checks);
        of.sign(s(25));
        assert_eq!(of.closed(CloseReason::Bye, s(30)), span(10, 25));
        of.opened(Signs::Checks);
        assert_eq!(of.media(s(60)), span(10, 25));
    }

    #[test]
    fn of_plain_rtp_numbers_decide_while_a_stream_goes_on_and_reports_where_another_begins() {
        // A sender that pauses writes no reports, either; what it sends next has the next number.
        let mut of = sending(Signs::Reports);
        of.sign(s(40));
        assert_eq!(of.media(s(40)), None);
        // Another SSRC, or another stream.
        let mut of = sending(Signs::Reports);
        of.anew(s(40));
        assert_eq!(of.media(s(40)), span(10, 40));
        for why in [CloseReason::Replaced, CloseReason::Left, CloseReason::Idle] {
            let mut of = sending(Signs::Reports);
            assert_eq!(of.closed(why, s(40)), span(10, 40), "{why}");
            of.opened(Signs::Reports);
            assert_eq!(of.media(s(41)), span(10, 41), "{why}");
        }
        // Reports went on: it was mute.
        let mut of = sending(Signs::Reports);
        for at in [15, 20, 25, 30] {
            of.sign(s(at));
        }
        assert_eq!(of.closed(CloseReason::Replaced, s(41)), None);
        // A stream that takes the place of one that was heard a moment ago.
        let mut of = sending(Signs::Reports);
        assert_eq!(of.closed(CloseReason::Replaced, s(14)), None);
    }

    #[test]
    fn without_reports_a_silent_sender_is_mute() {
        let mut of = Connectivity::new(Signs::Reports);
        of.media(s(0));
        of.media(s(10));
        of.anew(s(60));
        assert_eq!(of.media(s(60)), None);
        assert_eq!(of.closed(CloseReason::Replaced, s(100)), None);
        of.opened(Signs::Reports);
        assert_eq!(of.media(s(100)), None);
    }
}
