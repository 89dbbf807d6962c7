//! Whether sound that does not come is asked for once more, which both sides declare (RFC 4585 4.2).
//! There is no stream of its own for repetitions of it: they come in the same one.

use std::collections::BTreeMap;

/// Payload types of Opus whose packets the other side repeats when it is asked (`a=rtcp-fb:… nack`),
/// by the `mid` of the section that has them.
pub fn repeated_sound(sdp: &str) -> BTreeMap<String, u8> {
    let sections = sdp.split("\nm=").skip(1);
    let repeated = sections.filter(|section| section.starts_with("audio"));
    repeated.filter_map(repeated_in).collect()
}

fn repeated_in(section: &str) -> Option<(String, u8)> {
    let values = |name: &'static str| {
        let lines = section.lines().map(str::trim_end);
        lines.filter_map(move |line| line.strip_prefix(name))
    };
    let mid = values("a=mid:").next()?;
    let repeats = |payload_type: &str| {
        values("a=rtcp-fb:").any(|feedback| {
            let said = feedback.split_once(' ');
            said.is_some_and(|(of, what)| (of == payload_type || of == "*") && what == "nack")
        })
    };
    let opus = values("a=rtpmap:").find_map(|map| {
        let (payload_type, codec) = map.split_once(' ')?;
        let is_opus = codec.to_ascii_lowercase().starts_with("opus/");
        (is_opus && repeats(payload_type)).then_some(payload_type)
    });
    Some((mid.to_owned(), opus?.parse().ok()?))
}

/// An answer that takes that up.
pub fn with_repetition(answer: &str, repeated: &BTreeMap<String, u8>) -> String {
    let mut sections = answer.split_inclusive("\nm=");
    let mut written: String = sections.next().unwrap_or_default().to_owned();
    for section in sections {
        let mid = section.lines().find_map(|line| line.strip_prefix("a=mid:"));
        let Some(payload_type) = mid.and_then(|mid| repeated.get(mid.trim_end())) else {
            written += section;
            continue;
        };
        let map = format!("a=rtpmap:{payload_type} ");
        for line in section.split_inclusive('\n') {
            written += line;
            if line.starts_with(&map) {
                written += &format!("a=rtcp-fb:{payload_type} nack\r\n");
            }
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n\
        a=rtcp-fb:111 nack\r\na=rtpmap:0 PCMU/8000\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:2\r\na=rtpmap:111 opus/48000/2\r\n\
        a=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack pli\r\n";

    #[test]
    fn who_declares_to_repeat_opus_does() {
        let repeated = repeated_sound(OFFER);
        assert_eq!(repeated, [("0".to_owned(), 111)].into());
        let any = OFFER.replace("a=rtcp-fb:111 transport-cc", "a=rtcp-fb:* nack");
        assert_eq!(repeated_sound(&any).len(), 2);
    }

    #[test]
    fn an_answer_takes_it_up_where_it_was_declared() {
        let without = OFFER.replace("a=rtcp-fb:111 nack\r\na=rtpmap:0", "a=rtpmap:0");
        let answer = with_repetition(&without, &repeated_sound(OFFER));
        assert_eq!(answer, OFFER);
        assert_eq!(with_repetition(&without, &BTreeMap::new()), without);
        assert_eq!(with_repetition("", &repeated_sound(OFFER)), "");
    }
}
