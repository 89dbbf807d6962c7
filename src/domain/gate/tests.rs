use super::*;
use uuid::Uuid;

const ANA: ParticipantId = ParticipantId(Uuid::from_u128(1));
const BOB: ParticipantId = ParticipantId(Uuid::from_u128(2));

fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

fn span(from: i64, to: i64) -> Span {
    Span::new(ms(from), ms(to))
}

fn said(n: i64, who: ParticipantId, status: ConsentStatus, at: i64) -> Entry {
    Entry {
        entry: n,
        id: ConsentId(Uuid::from_u128(1000 + n as u128)),
        participant: who,
        uses: vec![Use::Recording],
        status,
        at: ms(at),
    }
}

fn gate() -> Gate {
    Gate::new(&Use::ALL)
}

fn frame(gate: &Gate, who: ParticipantId, from: i64) -> Result<Admitted<Recording, ()>, Refusal> {
    gate.admit(who, ms(from + 25), span(from, from + 20), ())
}

#[test]
fn denies_by_default_and_keeps_uses_apart() {
    let gate = gate();
    assert_eq!(frame(&gate, ANA, 100).unwrap_err(), Refusal::NoConsent);
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(50));
    assert_eq!(frame(&gate, ANA, 100).map(|a| a.pass().entry), Ok(1));
    assert_eq!(frame(&gate, BOB, 100).unwrap_err(), Refusal::NoConsent);
    let words = gate.admit::<Transcription, _>(ANA, ms(125), span(100, 120), ());
    assert_eq!(words.unwrap_err(), Refusal::NoConsent);
}

#[test]
fn opens_at_application_not_at_the_time_stamp() {
    let gate = gate();
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(200));
    assert_eq!(frame(&gate, ANA, 190).unwrap_err(), Refusal::NoConsent);
    assert!(frame(&gate, ANA, 200).is_ok());
}

#[test]
fn a_withdrawal_acts_at_once_and_cuts_what_is_inside() {
    let gate = gate();
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    let (_, before) = frame(&gate, ANA, 100).expect("open").into_parts();
    let across = Pass {
        span: span(100, 600),
        ..before
    };
    let after = Pass {
        span: span(500, 600),
        ..before
    };
    gate.withdraw(
        said(2, ANA, ConsentStatus::Withdrawn, 0).id,
        ANA,
        &[Use::Recording],
        ms(400),
    );
    assert_eq!(
        frame(&gate, ANA, 390).unwrap_err(),
        Refusal::NoConsent,
        "arrives after the receipt"
    );
    assert_eq!(gate.still::<Recording>(&before), Verdict::Keep);
    assert_eq!(gate.still::<Recording>(&across), Verdict::Cut(ms(400)));
    assert_eq!(gate.still::<Recording>(&after), Verdict::Drop);
}

#[test]
fn a_late_grant_cannot_reopen_what_a_later_withdrawal_closed() {
    let gate = gate();
    let withdrawal = said(3, ANA, ConsentStatus::Withdrawn, 400);
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    gate.withdraw(withdrawal.id, ANA, &[Use::Recording], ms(400));
    // The grant was committed before the withdrawal, and is read after it was received.
    gate.apply(&said(2, ANA, ConsentStatus::Accepted, 390), ms(450));
    assert!(frame(&gate, ANA, 500).is_err());
    gate.apply(&withdrawal, ms(500));
    assert!(frame(&gate, ANA, 600).is_err());
    gate.apply(&said(2, ANA, ConsentStatus::Accepted, 390), ms(700));
    assert!(frame(&gate, ANA, 800).is_err());
    // Only a grant above the withdrawal opens again.
    gate.apply(&said(4, ANA, ConsentStatus::Accepted, 900), ms(950));
    assert!(frame(&gate, ANA, 960).is_ok());
}

#[test]
fn a_late_or_repeated_withdrawal_cannot_close_what_a_later_grant_opened() {
    let gate = gate();
    let withdrawal = said(2, ANA, ConsentStatus::Withdrawn, 400);
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    gate.apply(&withdrawal, ms(450));
    gate.apply(&said(3, ANA, ConsentStatus::Accepted, 500), ms(550));
    assert!(!gate.withdraw(withdrawal.id, ANA, &[Use::Recording], ms(400)));
    assert!(frame(&gate, ANA, 600).is_ok());
}

#[test]
fn the_cut_is_at_the_earlier_of_receipt_and_time_stamp() {
    for (received, stamped, cut) in [(400, 350, 350), (400, 450, 400)] {
        let gate = gate();
        gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
        let (_, pass) = frame(&gate, ANA, 100).expect("open").into_parts();
        let withdrawal = said(2, ANA, ConsentStatus::Withdrawn, stamped);
        gate.withdraw(withdrawal.id, ANA, &[Use::Recording], ms(received));
        gate.apply(&withdrawal, ms(500));
        assert_eq!(
            gate.still::<Recording>(&Pass {
                span: span(100, 600),
                ..pass
            }),
            Verdict::Cut(ms(cut))
        );
    }
}

#[test]
fn a_hold_closes_for_everybody_and_leaves_a_gap() {
    let gate = gate();
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    gate.hold(Use::Recording, ms(300));
    gate.hold(Use::Recording, ms(350));
    assert_eq!(frame(&gate, ANA, 290).unwrap_err(), Refusal::Held);
    gate.release(Use::Recording, ms(600));
    assert!(frame(&gate, ANA, 600).is_ok());
    assert_eq!(
        gate.allowed(ANA, Use::Recording),
        [span(0, 300), Span::new(ms(600), MeetingTime::MAX)]
    );
}

#[test]
fn a_use_that_is_off_admits_nothing() {
    let gate = Gate::new(&[Use::Transcription]);
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    assert_eq!(frame(&gate, ANA, 100).unwrap_err(), Refusal::Off);
    assert_eq!(gate.lets_in(ANA, ms(100)), Err(Refusal::NoConsent));
}

#[test]
fn a_withdrawal_that_had_been_said_before_leaves_what_was_said_since() {
    let again = ConsentId(Uuid::from_u128(77));
    let gate = gate();
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    gate.apply(&said(2, ANA, ConsentStatus::Withdrawn, 400), ms(400));
    gate.apply(&said(3, ANA, ConsentStatus::Accepted, 500), ms(500));
    // The request for entry 2 comes again, slowly: shut until it is found out.
    assert!(gate.withdraw(again, ANA, &[Use::Recording], ms(800)));
    assert_eq!(frame(&gate, ANA, 820).unwrap_err(), Refusal::NoConsent);
    let (_, before) = frame(&gate, ANA, 600).expect("open").into_parts();
    gate.said_before(again, ANA, &[Use::Recording], ms(1_000));
    assert_eq!(frame(&gate, ANA, 1_000).map(|it| it.pass().entry), Ok(3));
    assert_eq!(gate.still::<Recording>(&before), Verdict::Keep);
    assert_eq!(
        gate.still::<Recording>(&Pass {
            span: span(700, 900),
            ..before
        }),
        Verdict::Cut(ms(800))
    );
    assert!(
        !gate.withdraw(again, ANA, &[Use::Recording], ms(1_100)),
        "and later copies change nothing"
    );

    // What the log refuses stays shut.
    gate.apply(&said(4, ANA, ConsentStatus::Withdrawn, 1_200), ms(1_200));
    let more = ConsentId(Uuid::from_u128(78));
    gate.withdraw(more, ANA, &[Use::Recording], ms(1_300));
    gate.said_before(more, ANA, &[Use::Recording], ms(1_400));
    assert_eq!(frame(&gate, ANA, 1_500).unwrap_err(), Refusal::NoConsent);
}

/// A counter stood still for a second and a half, and a withdrawal is heard of half a second late:
/// what arrived after it is placed before it, and goes all the same.
#[test]
fn what_may_be_made_later_than_its_place_is_cut_by_its_arrival() {
    let gate = gate();
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    let packet = |at: i64, arrived: i64| {
        let admitted = gate
            .admit::<Recording, _>(ANA, ms(arrived), span(at, at + 20), ())
            .expect("open");
        admitted.into_parts().1
    };
    let (in_time, before, behind) = (packet(900, 930), packet(1_000, 2_540), packet(1_600, 3_140));
    assert_eq!(
        (in_time.late, before.late, behind.late),
        (Micros(0), Micros::from_ms(1_600), Micros::from_ms(1_600))
    );
    gate.withdraw(
        said(2, ANA, ConsentStatus::Withdrawn, 0).id,
        ANA,
        &[Use::Recording],
        ms(3_000),
    );
    assert_eq!(gate.still::<Recording>(&in_time), Verdict::Keep);
    assert_eq!(gate.still::<Recording>(&before), Verdict::Keep);
    assert_eq!(gate.still::<Recording>(&behind), Verdict::Drop);
    let whole = Pass {
        span: span(1_000, 1_900),
        ..before
    };
    assert_eq!(gate.still::<Recording>(&whole), Verdict::Cut(ms(1_400)));
    assert_eq!(
        gate.allowed_by(ANA, Use::Recording, 1, whole.late),
        [span(0, 1_400)]
    );
    assert_eq!(
        gate.allowed_by(ANA, Use::Recording, 1, Micros(0)),
        [span(0, 3_000)]
    );
    // The same where recording was held for everybody.
    let gate = Gate::new(&Use::ALL);
    gate.apply(&said(1, ANA, ConsentStatus::Accepted, 0), ms(0));
    gate.hold(Use::Recording, ms(3_000));
    gate.release(Use::Recording, ms(3_050));
    assert_eq!(gate.still::<Recording>(&whole), Verdict::Cut(ms(1_400)));
    assert_eq!(
        gate.still::<Recording>(&Pass {
            span: span(3_060, 3_080),
            ..before
        }),
        Verdict::Keep
    );
}
