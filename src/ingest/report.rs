//! Our receiver reports: how well one stream is received (RFC 3550 6.4.1 and A.3, A.8).

use super::rtcp::ReceptionReport;
use std::time::Instant;

/// Steps larger than this are a restart of the sender.
const DROPOUT_MAX: i16 = 3_000;

/// Told every valid RTP packet and sender report of a stream, also those that the gate refuses.
#[derive(Debug, Default)]
pub struct Reception {
    first: Option<First>,
    highest: i64,
    received: i64,
    expected_before: i64,
    received_before: i64,
    /// In ticks, × 16 (A.8's integer form).
    jitter: i64,
    transit: Option<i64>,
    /// The middle 32 bits of the last sender report's NTP time, and when it came.
    last_report: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct First {
    sequence: i64,
    at: Instant,
}

impl Reception {
    pub fn packet(&mut self, sequence: u16, timestamp: u32, clock_rate: u32, at: Instant) {
        self.number(sequence, at);
        let since = self.first.map_or(0, |first| {
            at.saturating_duration_since(first.at).as_micros() as i64
        });
        let transit = since * i64::from(clock_rate) / 1_000_000 - i64::from(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            // Wraps with the time stamp, like everything modulo 2^32.
            let difference = i64::from(((transit - before) as u32 as i32).unsigned_abs());
            self.jitter += difference - ((self.jitter + 8) >> 4);
        }
    }

    /// A packet whose time stamp may say nothing of when it was sent: another payload type.
    pub fn number(&mut self, sequence: u16, at: Instant) {
        let step = sequence.wrapping_sub(self.highest as u16) as i16;
        match self.first {
            Some(_) if (-DROPOUT_MAX..=DROPOUT_MAX).contains(&step) => {
                self.highest = self.highest.max(self.highest + i64::from(step))
            }
            _ => {
                *self = Self {
                    first: Some(First {
                        sequence: sequence.into(),
                        at: self.first.map_or(at, |first| first.at),
                    }),
                    highest: sequence.into(),
                    last_report: self.last_report,
                    ..Self::default()
                };
            }
        }
        self.received += 1;
    }

    pub fn sender_report(&mut self, ntp: u64, at: Instant) {
        self.last_report = Some(((ntp >> 16) as u32, at));
    }

    /// Packets that were sent and did not come.
    pub fn lost(&self) -> u64 {
        self.first.map_or(0, |first| {
            (self.highest - first.sequence + 1 - self.received)
                .max(0)
                .unsigned_abs()
        })
    }

    /// The next report block; `None` before the first packet.
    pub fn report(&mut self, ssrc: u32, now: Instant) -> Option<ReceptionReport> {
        let first = self.first?;
        let expected = self.highest - first.sequence + 1;
        let expected_since = expected - self.expected_before;
        let lost_since = expected_since - (self.received - self.received_before);
        (self.expected_before, self.received_before) = (expected, self.received);
        let fraction = if expected_since <= 0 || lost_since <= 0 {
            0
        } else {
            (lost_since << 8) / expected_since
        };
        let (last_sender_report, delay) = self.last_report.map_or((0, 0), |(ntp, at)| {
            (
                ntp,
                (now.saturating_duration_since(at).as_micros() as u64 * 65_536 / 1_000_000) as u32,
            )
        });
        Some(ReceptionReport {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            total_lost: (expected - self.received).clamp(0, 0x7f_ffff) as u32,
            last_sequence_number: self.highest as u32,
            jitter: (self.jitter >> 4) as u32,
            last_sender_report,
            delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn loss_is_told_as_fraction_and_sum() {
        let mut reception = Reception::default();
        let start = Instant::now();
        let mut at = start;
        for i in 0..200u32 {
            at = start + Duration::from_millis(20 * u64::from(i));
            if i < 100 || i % 4 != 0 {
                reception.packet(65_500u16.wrapping_add(i as u16), i * 960, 48_000, at);
            }
            if i == 99 {
                let block = reception.report(7, at).expect("packets came");
                assert_eq!(
                    (
                        block.fraction_lost,
                        block.total_lost,
                        block.last_sequence_number
                    ),
                    (0, 0, 65_599)
                );
            }
        }
        reception.sender_report(0x0001_0002_8000_0000, at);
        let block = reception
            .report(7, at + Duration::from_millis(500))
            .expect("packets came");
        assert_eq!((block.fraction_lost, block.total_lost), (64, 25));
        assert_eq!(
            (block.last_sender_report, block.delay),
            (0x0002_8000, 32_768)
        );
        assert_eq!(block.jitter, 0);
        assert_eq!(reception.report(7, at).expect("still").fraction_lost, 0);
    }

    #[test]
    fn jitter_is_the_mean_deviation() {
        let mut reception = Reception::default();
        let start = Instant::now();
        for i in 0..1_000u64 {
            let at = start + Duration::from_millis(20 * i + 10 * (i % 2));
            reception.packet(i as u16, (i * 960) as u32, 48_000, at);
        }
        let jitter = reception.report(7, start).expect("packets came").jitter;
        assert!(
            (470..=480).contains(&jitter),
            "{jitter} ticks, 10 ms are 480"
        );
    }
}
