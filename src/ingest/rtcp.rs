//! RTCP packets, read and made (RFC 3550 6): sender reports, CNAME, BYE, and receiver reports. The
//! only user of the `rtcp` crate.
//!
//! The compound is split here by its own length fields, and only packets of the four kinds above go
//! to the `rtcp` crate, each alone: its compound parser loses its place behind a packet with
//! trailing bytes.

use super::Reason;
pub use rtcp::reception_report::ReceptionReport;
use rtcp::{
    goodbye::Goodbye,
    receiver_report::ReceiverReport,
    sender_report::SenderReport,
    source_description::{
        SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
    },
};
use std::sync::Arc;
use webrtc_util::marshal::Unmarshal;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// One compound's content, as far as it concerns its sender.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Control {
    /// Who sent it.
    pub ssrc: u32,
    /// NTP time (32.32) and sample counter.
    pub report: Option<(u64, u32)>,
    pub cname: Option<Arc<str>>,
    /// Who ended.
    pub gone: Vec<u32>,
    /// How the sender receives others.
    pub received: Vec<ReceptionReport>,
}

/// The sender of what claims to be RTCP, before anything else is looked at.
pub fn claims(datagram: &[u8]) -> Result<u32, Reason> {
    let header = datagram.get(..8).ok_or(Reason::Size)?;
    if header[0] >> 6 != 2 {
        return Err(Reason::Version);
    }
    Ok(u32::from_be_bytes([
        header[4], header[5], header[6], header[7],
    ]))
}

/// A compound (or a single report) of one sender.
pub fn parse(datagram: &[u8]) -> Result<Control, Reason> {
    let mut control = Control {
        ssrc: claims(datagram)?,
        ..Control::default()
    };
    // RFC 3550 6.1: a compound begins with a report. (RFC 5506's reduced-size packets say nothing
    // that we need.)
    if !matches!(datagram[1], SENDER_REPORT | RECEIVER_REPORT) {
        return Err(Reason::Rtcp);
    }
    let mut rest = datagram;
    while !rest.is_empty() {
        let header = rest.get(..4).ok_or(Reason::Rtcp)?;
        let length = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 6 != 2 || length > rest.len() {
            return Err(Reason::Rtcp);
        }
        let (mut packet, tail) = rest.split_at(length);
        read(&mut packet, &mut control)?;
        rest = tail;
    }
    Ok(control)
}

fn read(packet: &mut &[u8], control: &mut Control) -> Result<(), Reason> {
    match packet[1] {
        SENDER_REPORT => {
            let report = SenderReport::unmarshal(packet).map_err(|_| Reason::Rtcp)?;
            if report.ssrc == control.ssrc {
                control.report = Some((report.ntp_time, report.rtp_time));
            }
            control.received.extend(report.reports);
        }
        RECEIVER_REPORT => {
            control.received.extend(
                ReceiverReport::unmarshal(packet)
                    .map_err(|_| Reason::Rtcp)?
                    .reports,
            );
        }
        SOURCE_DESCRIPTION => {
            let description = SourceDescription::unmarshal(packet).map_err(|_| Reason::Rtcp)?;
            let ours = description
                .chunks
                .iter()
                .filter(|chunk| chunk.source == control.ssrc);
            let cname = ours
                .flat_map(|chunk| &chunk.items)
                .find(|item| item.sdes_type == SdesType::SdesCname);
            if let Some(item) = cname {
                control.cname = Some(String::from_utf8_lossy(&item.text).into());
            }
        }
        GOODBYE => control.gone.extend(
            Goodbye::unmarshal(packet)
                .map_err(|_| Reason::Rtcp)?
                .sources,
        ),
        // Feedback, extended reports, applications: not for us.
        _ => {}
    }
    Ok(())
}

/// A compound of a receiver report and who we are, ready to send (and to encrypt).
pub fn compound(us: u32, block: Option<ReceptionReport>) -> Option<bytes::Bytes> {
    rtcp::packet::marshal(&[
        Box::new(ReceiverReport {
            ssrc: us,
            reports: block.into_iter().collect(),
            ..ReceiverReport::default()
        }),
        Box::new(SourceDescription {
            chunks: vec![SourceDescriptionChunk {
                source: us,
                items: vec![SourceDescriptionItem {
                    sdes_type: SdesType::SdesCname,
                    text: "hansard".into(),
                }],
            }],
        }),
    ])
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compound_can_be_read_back() {
        let block = ReceptionReport {
            ssrc: 7,
            jitter: 3,
            ..ReceptionReport::default()
        };
        let bytes = compound(9, Some(block.clone())).expect("small");
        let control = crate::ingest::parse_rtcp(&bytes).expect("ours");
        assert_eq!(
            (control.ssrc, control.received, control.cname.as_deref()),
            (9, vec![block], Some("hansard"))
        );
    }
}
