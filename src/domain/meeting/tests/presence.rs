//! Who is there, by sockets, checks of a peer connection or media, and when its streams are closed.

use super::*;

fn sockets(of: &[ParticipantId]) -> Input {
    Input::Sockets {
        api: API,
        participants: of.to_vec(),
    }
}

#[test]
fn presence_lasts_30_s_beyond_the_last_socket_and_an_empty_meeting_ends() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA]), s(0));
    meeting.handle(sockets(&[ANA]), s(1));
    meeting.handle(sockets(&[]), s(5));
    drain(&mut meeting);
    meeting.handle(Input::Tick, s(34));
    assert_eq!(drain(&mut meeting), []);
    meeting.handle(Input::Tick, s(35));
    assert!(drain(&mut meeting).contains(&Command::Leave {
        participant: ANA,
        removed: false
    }));
    meeting.handle(
        Input::Roster(vec![Listed {
            participant: ANA,
            present: false,
        }]),
        s(36),
    );
    meeting.handle(Input::Tick, s(94));
    assert!(!drain(&mut meeting).contains(&Command::End { stored: false }));
    assert_eq!(meeting.poll_timeout(), Some(s(95)));
    meeting.handle(Input::Tick, s(95));
    assert_eq!(
        drain(&mut meeting).last(),
        Some(&Command::End { stored: false })
    );
}

#[test]
fn a_dead_api_has_no_sockets() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA]), s(0));
    meeting.handle(sockets(&[ANA]), s(0));
    let mut left_at = None;
    while let Some(at) = meeting.poll_timeout().filter(|at| *at < s(200)) {
        meeting.handle(Input::Tick, at);
        if drain(&mut meeting)
            .iter()
            .any(|c| matches!(c, Command::Leave { .. }))
        {
            left_at = Some(at);
            break;
        }
    }
    assert_eq!(left_at, Some(s(30)), "30 s after it was last heard of");
}

#[test]
fn an_idle_stream_is_closed_after_five_minutes() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(
        Input::StreamOpened {
            stream: MIC,
            participant: ANA,
        },
        s(0),
    );
    meeting.handle(
        Input::StreamAlive {
            stream: MIC,
            media: true,
        },
        s(100),
    );
    drain(&mut meeting);
    meeting.handle(Input::Tick, s(399));
    assert_eq!(drain(&mut meeting), []);
    meeting.handle(Input::Tick, s(400));
    assert_eq!(
        drain(&mut meeting),
        [Command::CloseStream {
            stream: MIC,
            reason: CloseReason::Idle
        }]
    );
}

/// The lid of a laptop is closed: no socket, no check, and its streams stay open for a return.
#[test]
fn who_is_there_by_a_peer_connection_leaves_30_s_after_its_last_check() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA]), s(0));
    meeting.handle(
        Input::PeerStreamOpened {
            stream: MIC,
            participant: ANA,
        },
        s(1),
    );
    for second in 2..=400 {
        meeting.handle(
            Input::StreamAlive {
                stream: MIC,
                media: false,
            },
            s(second),
        );
        meeting.handle(Input::Tick, s(second));
    }
    drain(&mut meeting);
    meeting.handle(Input::Tick, s(429));
    assert_eq!(drain(&mut meeting), []);
    assert_eq!(meeting.poll_timeout(), Some(s(430)));
    meeting.handle(Input::Tick, s(430));
    assert_eq!(
        drain(&mut meeting),
        [Command::Leave {
            participant: ANA,
            removed: false
        }]
    );
    // Its leaving is stored: the stream goes with it.
    meeting.handle(
        Input::Roster(vec![Listed {
            participant: ANA,
            present: false,
        }]),
        s(431),
    );
    assert!(drain(&mut meeting).contains(&Command::CloseStream {
        stream: MIC,
        reason: CloseReason::Left
    }));
}

#[test]
fn who_is_muted_and_there_by_socket_keeps_its_stream() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(
        Input::StreamOpened {
            stream: MIC,
            participant: ANA,
        },
        s(0),
    );
    drain(&mut meeting);
    for second in (2..3_600).step_by(2) {
        meeting.handle(sockets(&[ANA]), s(second));
        meeting.handle(Input::Tick, s(second));
        assert_eq!(drain(&mut meeting), [], "{second}");
    }
    // A socket that breaks after an hour costs nothing at once: five minutes begin there.
    meeting.handle(sockets(&[]), s(3_600));
    meeting.handle(Input::Tick, s(3_600));
    assert_eq!(drain(&mut meeting), []);
    let mut closed = None;
    while let Some(at) = meeting.poll_timeout().filter(|at| *at < s(5_000)) {
        meeting.handle(Input::Tick, at);
        if drain(&mut meeting).contains(&Command::CloseStream {
            stream: MIC,
            reason: CloseReason::Idle,
        }) {
            closed = Some(at);
            break;
        }
    }
    assert_eq!(closed, Some(s(3_598 + 300)));
}

#[test]
fn media_revokes_a_goodbye_and_reports_do_not() {
    for (media, closed) in [(None, true), (Some(false), true), (Some(true), false)] {
        let mut meeting = meeting(ConsentPolicy::Exclude);
        meeting.handle(
            Input::StreamOpened {
                stream: MIC,
                participant: ANA,
            },
            s(0),
        );
        meeting.handle(Input::StreamBye { stream: MIC }, s(10));
        meeting.handle(Input::StreamBye { stream: MIC }, s(12));
        if let Some(media) = media {
            meeting.handle(Input::StreamAlive { stream: MIC, media }, s(13));
        }
        drain(&mut meeting);
        meeting.handle(Input::Tick, s(14));
        assert_eq!(drain(&mut meeting), [], "it may still go on");
        assert_eq!(meeting.poll_timeout() == Some(s(15)), closed);
        meeting.handle(Input::Tick, s(15));
        let gone = drain(&mut meeting).contains(&Command::CloseStream {
            stream: MIC,
            reason: CloseReason::Bye,
        });
        assert_eq!(gone, closed, "{media:?}");
    }
}
