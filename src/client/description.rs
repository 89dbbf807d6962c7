//! What the other side's descriptions say (RFC 8866), as far as the connection itself does not read
//! it.

use std::collections::BTreeMap;

/// What a description says of its sections: the two words of `a=msid`, by `mid`.
pub fn names(sdp: &str) -> BTreeMap<String, (String, String)> {
    let sections = sdp.split("\nm=").skip(1);
    let named = sections.filter_map(|section| {
        let value = |name: &str| section.lines().find_map(|line| line.strip_prefix(name));
        let (stream, track) = value("a=msid:")?.split_once(' ')?;
        Some((
            value("a=mid:")?.to_owned(),
            (stream.to_owned(), track.to_owned()),
        ))
    });
    named.collect()
}

/// An answer with the ICE session of a fragment (RFC 8840) in the place of its own: candidates of
/// the one before have its name, and are not of the new one.
pub fn restarted(answer: &str, fragment: &str) -> String {
    let is_candidate = |line: &&str| line.starts_with("a=candidate:");
    let mut text = String::new();
    for line in answer.lines().filter(|line| !is_candidate(line)) {
        let name = ["a=ice-ufrag:", "a=ice-pwd:"]
            .into_iter()
            .find(|name| line.starts_with(name));
        let new = name.and_then(|name| fragment.lines().find(|new| new.starts_with(name)));
        let candidates = fragment.lines().filter(is_candidate);
        let candidates = candidates.filter(|_| line.starts_with("a=ice-pwd:"));
        for line in [new.unwrap_or(line)].into_iter().chain(candidates) {
            text += line;
            text += "\r\n";
        }
    }
    text
}
