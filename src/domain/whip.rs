//! WHIP (RFC 9725): publishing over HTTP. What is read of the fragments (RFC 8840) that clients
//! send about a session's ICE, and which are made for them.

use crate::negotiation::{Invalid, invalid};

/// The media type of fragments.
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// The media type of offers and answers.
pub const DESCRIPTION: &str = "application/sdp";

/// ICE credentials of one side (RFC 8839 5.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IceCredentials {
    pub ufrag: String,
    pub password: String,
}

/// Reads a fragment: the credentials that it names, if it does. Candidates are not needed.
///
/// # Errors
/// Lines that are no SDP, and credentials that are none.
pub fn read(fragment: &str) -> Result<Option<IceCredentials>, Invalid> {
    let (mut ufrag, mut password) = (None, None);
    for line in lines(fragment) {
        let is_sdp =
            line.len() > 2 && line.as_bytes()[0].is_ascii_lowercase() && line.as_bytes()[1] == b'=';
        if !is_sdp {
            return invalid("a line of the fragment is not of the form a=…");
        }
        // All sections share one transport, so there is one pair.
        for (name, value) in [("a=ice-ufrag:", &mut ufrag), ("a=ice-pwd:", &mut password)] {
            let Some(text) = line.strip_prefix(name) else {
                continue;
            };
            let least = if name == "a=ice-pwd:" { 22 } else { 4 };
            let is_good = (least..=256).contains(&text.len())
                && text
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'));
            if !is_good {
                return invalid(format!("{name} has {least} to 256 letters, digits, + or /"));
            }
            value.get_or_insert_with(|| text.to_owned());
        }
    }
    match (ufrag, password) {
        (Some(ufrag), Some(password)) => Ok(Some(IceCredentials { ufrag, password })),
        (None, None) => Ok(None),
        _ => invalid("a=ice-ufrag and a=ice-pwd come together"),
    }
}

/// The offer that a client with these credentials would make anew, to restart ICE.
pub fn restarted(offer: &str, credentials: &IceCredentials) -> String {
    let mut text = String::with_capacity(offer.len());
    for line in lines(offer) {
        if line.starts_with("a=ice-ufrag:") {
            text += &format!("a=ice-ufrag:{}", credentials.ufrag);
        } else if line.starts_with("a=ice-pwd:") {
            text += &format!("a=ice-pwd:{}", credentials.password);
        } else if let Some(origin) = line.strip_prefix("o=") {
            text += "o=";
            text += &next_version(origin);
        } else {
            text += line;
        }
        text += "\r\n";
    }
    text
}

/// The third word of the `o=` line counts the descriptions of a session (RFC 8866 5.2).
fn next_version(origin: &str) -> String {
    let word = |(n, word): (usize, &str)| match word.parse::<u64>() {
        Ok(version) if n == 2 => version.wrapping_add(1).to_string(),
        _ => word.to_owned(),
    };
    let words: Vec<_> = origin.split(' ').enumerate().map(word).collect();
    words.join(" ")
}

/// What of an answer is about ICE, as a fragment.
pub fn fragment(answer: &str) -> String {
    let mut text = String::new();
    let mut sections = 0;
    for line in lines(answer) {
        sections += usize::from(line.starts_with("m="));
        // One transport: it is that of the first section.
        if sections > 1 {
            break;
        }
        let is_kept = [
            "m=",
            "a=group:",
            "a=mid:",
            "a=ice-",
            "a=candidate:",
            "a=end-of-candidates",
        ]
        .iter()
        .any(|kept| line.starts_with(kept));
        if is_kept {
            text += line;
            text += "\r\n";
        }
    }
    text
}

/// What an ICE session is called: the server's part of the names of its checks. It is no secret,
/// and changes with every restart.
pub fn ice_name(answer: &str) -> Option<&str> {
    lines(answer).find_map(|line| line.strip_prefix("a=ice-ufrag:"))
}

fn lines(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.split('\n')
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "asd88fgpdd777uzjYhagZg";

    #[test]
    fn a_fragment_has_credentials_or_candidates() {
        let candidates =
            "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 4 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(read(candidates), Ok(None));
        assert_eq!(read(""), Ok(None));
        let restart =
            format!("a=ice-ufrag:8hhY\r\na=ice-pwd:{PASSWORD}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\n");
        let read_back = read(&restart).expect("good").expect("they are there");
        assert_eq!(
            (read_back.ufrag.as_str(), read_back.password.as_str()),
            ("8hhY", PASSWORD)
        );
        for (bad, said) in [
            ("hello", "form a="),
            ("A=x", "form a="),
            ("{}", "form a="),
            ("a=ice-ufrag:8hhY", "come together"),
            ("a=ice-ufrag:8h", "4 to 256"),
            ("a=ice-pwd:short", "22 to 256"),
            ("a=ice-ufrag:8hhY a=x", "4 to 256"),
        ] {
            let message = read(bad).expect_err(bad).to_string();
            assert!(message.contains(said), "{bad}: {message}");
        }
        let long = format!("a=ice-ufrag:{}", "x".repeat(257));
        assert!(read(&long).is_err());
    }

    #[test]
    fn a_restart_is_the_same_offer_with_other_credentials() {
        let offer = "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\na=ice-ufrag:abcd\r\nm=audio 9 X 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:old\r\na=mid:0\r\n";
        let credentials = IceCredentials {
            ufrag: "efgh".into(),
            password: PASSWORD.into(),
        };
        assert_eq!(
            restarted(offer, &credentials),
            format!(
                "v=0\r\no=- 4611 3 IN IP4 127.0.0.1\r\na=ice-ufrag:efgh\r\nm=audio 9 X 0\r\na=ice-ufrag:efgh\r\na=ice-pwd:{PASSWORD}\r\na=mid:0\r\n"
            )
        );
        // A broken one stays what it is.
        assert_eq!(restarted("o=x", &credentials), "o=x\r\n");
    }

    #[test]
    fn an_answers_fragment_is_about_ice_only() {
        let answer = "v=0\r\no=x\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\na=fingerprint:sha-256 AA\r\nm=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:p\r\na=candidate:1\r\na=rtcp-mux\r\nm=video 9 X 0\r\na=mid:1\r\na=ice-ufrag:abcd\r\n";
        assert_eq!(
            fragment(answer),
            "a=group:BUNDLE 0 1\r\na=ice-lite\r\nm=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:p\r\na=candidate:1\r\n"
        );
        assert_eq!(ice_name(answer), Some("abcd"));
        assert_eq!(ice_name("v=0"), None);
    }
}
