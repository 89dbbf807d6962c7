use super::*;

const FINGERPRINT: &str = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99";

fn offer(sections: &[(&str, &str, &str)]) -> String {
    let mut sdp = format!(
        "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 {FINGERPRINT}\r\n"
    );
    for (kind, mid, direction) in sections {
        sdp += &format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=candidate:1 1 udp 1 192.0.2.1 4 typ host\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\na=mid:{mid}\r\na={direction}\r\na=end-of-candidates\r\n"
        );
    }
    sdp
}

fn sent(sections: &[(&str, &str, &str)], told: &[(&str, MediaSource)]) -> Result<String, String> {
    let told = told
        .iter()
        .map(|(mid, source)| ((*mid).to_owned(), *source))
        .collect();
    let sent = read(&offer(sections))
        .and_then(|description| description.sent(&told))
        .map_err(|invalid| invalid.to_string())?;
    let words = sent
        .iter()
        .map(|sent| format!("{}={} {}", sent.mid, sent.kind, sent.source));
    Ok(words.collect::<Vec<_>>().join(", "))
}

#[test]
fn sections_that_send_are_streams_of_the_usual_sources() {
    for (sections, told, expect) in [
        (
            &[("audio", "0", "sendrecv")][..],
            &[][..],
            "0=audio microphone",
        ),
        (
            &[
                ("audio", "a", "sendonly"),
                ("video", "v", "sendrecv"),
                ("video", "s", "sendonly"),
            ],
            &[],
            "a=audio microphone, v=video camera, s=video screen",
        ),
        (
            &[
                ("audio", "0", "recvonly"),
                ("audio", "1", "inactive"),
                ("audio", "2", "sendrecv"),
            ],
            &[],
            "2=audio microphone",
        ),
        (
            &[("video", "0", "sendrecv"), ("video", "1", "sendrecv")],
            &[("0", MediaSource::Screen)],
            "0=video screen, 1=video camera",
        ),
        (
            &[("video", "0", "sendrecv"), ("video", "1", "sendrecv")],
            &[("1", MediaSource::Camera)],
            "0=video screen, 1=video camera",
        ),
    ] {
        assert_eq!(
            sent(sections, told).as_deref(),
            Ok(expect),
            "{sections:?} {told:?}"
        );
    }
}

#[test]
fn what_the_client_says_of_its_sections_must_fit() {
    for (sections, told, said) in [
        (
            &[("audio", "0", "sendrecv")][..],
            &[("9", MediaSource::Microphone)][..],
            "no section",
        ),
        (
            &[("audio", "0", "sendrecv")],
            &[("0", MediaSource::Camera)],
            "gives none",
        ),
        (
            &[("video", "0", "sendrecv")],
            &[("0", MediaSource::Microphone)],
            "gives none",
        ),
        (
            &[
                ("video", "0", "sendrecv"),
                ("video", "1", "sendrecv"),
                ("video", "2", "sendrecv"),
            ],
            &[],
            "more than one",
        ),
    ] {
        let message = sent(sections, told).expect_err(said);
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_fault_says_what_to_mend() {
    let good = offer(&[("audio", "0", "sendrecv")]);
    assert!(read(&good).is_ok());
    let hundred: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let hundred: Vec<_> = hundred
        .iter()
        .map(|mid| ("audio", mid.as_str(), "inactive"))
        .collect();
    let other = FINGERPRINT.replace("AA", "AB");
    for (text, said) in [
        (String::new(), "v=0"),
        ("x".repeat(1_000), "v=0"),
        (good.replace("o=-", "x=-"), "o= line"),
        (
            good.replace("o=- 4611", "o=-4611")
                .replace(" 2 IN IP4 127.0.0.1", ""),
            "o= line",
        ),
        (
            good.replace("a=fingerprint:sha-256", "a=x"),
            "sha-256 is missing",
        ),
        (good.replace("sha-256", "sha-1"), "sha-256"),
        (good.replace("AA:BB", "AA"), "32 bytes"),
        (good.replace("AA:BB", "AA:XX"), "32 bytes"),
        (
            format!("{good}a=fingerprint:sha-256 {other}\r\n"),
            "different",
        ),
        (good.replace("ice-ufrag", "x"), "ice-ufrag"),
        (good.replace("a=mid:0", "a=mid:"), "a=mid"),
        (good.replace("a=mid:0", "a=mid:0123456789abcdef0"), "a=mid"),
        (good.replace("a=mid:0", "a=mid:a-b"), "a=mid"),
        (good.replace("a=mid:0\r\n", ""), "no a=mid"),
        (good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "DTLS"),
        (
            format!("{good}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
            "data channels",
        ),
        (
            format!("{good}m=text 9 UDP/TLS/RTP/SAVPF 96\r\n"),
            "not taken",
        ),
        (format!("{good}a=ice-lite\r\n"), "ice-lite"),
        (offer(&[]), "no media section"),
        (
            offer(&[("audio", "0", "sendrecv"), ("audio", "0", "sendrecv")]),
            "two sections",
        ),
        (offer(&hundred), "at most 64"),
    ] {
        let message = read(&text).expect_err(said).to_string();
        assert!(message.contains(said), "{said}: {message}");
    }
}

/// As aiortc writes them.
#[test]
fn fingerprints_by_other_functions_are_left_out() {
    let text = offer(&[("audio", "0", "sendrecv")]);
    for other in ["sha-512", "SHA-384", "md5"] {
        let line = format!("a=fingerprint:{other} AA:BB\r\n");
        let at = text.find("a=fingerprint").expect("it has one");
        for many in [
            format!("{}{line}{}", &text[..at], &text[at..]),
            format!("{text}{line}"),
        ] {
            assert_eq!(read(&many), read(&text));
            assert_eq!(without_candidates(&many), without_candidates(&text));
        }
    }
}

#[test]
fn a_refused_section_sends_nothing() {
    let refused = offer(&[("audio", "0", "sendrecv"), ("video", "1", "sendrecv")])
        .replace("m=video 9", "m=video 0");
    let sends = |sdp: &str| -> Vec<bool> {
        let read = read(sdp).expect("sound");
        read.sections.iter().map(|section| section.sends).collect()
    };
    assert_eq!(sends(&refused), [true, false]);
    let bundled = refused.replace("a=mid:1", "a=mid:1\r\na=bundle-only");
    assert_eq!(sends(&bundled), [true, true]);
}

#[test]
fn another_certificate_or_session_is_another_connection() {
    let first = read(&offer(&[("audio", "0", "sendrecv")])).expect("sound");
    let more = read(&offer(&[
        ("audio", "0", "sendrecv"),
        ("video", "1", "sendrecv"),
    ]))
    .expect("sound");
    assert!(more.continues(&first));
    let text = offer(&[("audio", "0", "sendrecv")]);
    for other in [text.replace("4611", "4612"), text.replace("AA:BB", "AC:BB")] {
        assert!(!read(&other).expect("sound").continues(&first));
    }
    // An ICE restart is the same connection.
    let restarted = read(&text.replace("abcd", "efgh")).expect("sound");
    assert!(restarted.continues(&first) && restarted.ufrag != first.ufrag);
}

#[test]
fn one_encoding_is_left_of_several() {
    let text = offer(&[("video", "0", "sendonly")]);
    let layered =
        format!("{text}a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\na=rtcp-rsize\r\n");
    assert_eq!(without_layers(&layered), format!("{text}a=rtcp-rsize\r\n"));
}

#[test]
fn candidates_are_left_out_and_nothing_else() {
    let text = offer(&[("audio", "0", "sendrecv")]);
    let without = without_candidates(&text);
    assert_eq!(read(&without), read(&text));
    assert!(!without.contains("candidate") && without.ends_with("\r\n"));
    assert_eq!(
        text.len() - without.len(),
        "a=candidate:1 1 udp 1 192.0.2.1 4 typ host\r\na=end-of-candidates\r\n".len()
    );
}
