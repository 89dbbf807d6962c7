//! One counter's relation to our clock: the estimates of offset and rate, and the line that packets
//! are placed by.

use super::{pace::Rate as Ticks, raised::Raised};
use crate::time::{MeetingTime, Span};
use std::collections::VecDeque;

/// Ordinary bend of the placing: 0.5 ms per second, far below hearing.
const SLEW: f64 = 500e-6;
/// Bend while the offset is still being found: a first packet that was delayed by 100 ms is made
/// good within seconds.
const SLEW_NEW: f64 = 20e-3;
/// How long a mapping counts as new.
const NEW: i64 = 20_000_000;
/// Errors above this are more than a path's delay that changes a little, and are made good as
/// quickly as new ones (µs).
const OFF: i64 = 30_000;
/// What is placed too early by this much is made good at once: packets that follow leave a hole
/// (µs).
const STEP: i64 = 100_000;
/// Errors below this are left alone (µs).
const DEAD_BAND: i64 = 1_000;
/// An error is corrected over this time (s), within the slew.
const PULL_S: f64 = 2.0;
/// Media time without a packet in which the placing may step (µs).
const SILENCE: i64 = 200_000;
/// Seconds with packets that the offset is the minimum of.
const WINDOW: usize = 20;
/// Seconds with packets that the rate is taken from.
const RATE_WINDOW: usize = 64;
/// A rate less sure than this is not used.
const RATE_SD_MAX: f64 = 60e-6;
/// No sample clock is further off than this.
const RATE_MAX: f64 = 1_000e-6;
/// One counter's relation to our clock. "Media time" is µs since `origin` by the nominal clock
/// rate.
#[derive(Debug)]
pub struct Mapping {
    origin: i64,
    pub first_sequence: i64,
    /// Where the line bends, oldest first; never empty.
    knots: VecDeque<Knot>,
    /// The end of the last packet, in media time. Bends only behind it, so that what was said stays
    /// true.
    frontier: i64,
    new_until: i64,
    seconds: VecDeque<Second>,
    reports: VecDeque<(i64, i64)>,
    rate: Option<Rate>,
    /// The rate from before the counter stood still, until there is a new one.
    kept_rate: Option<Rate>,
    raised: Raised,
    /// What other streams of the same sender move this one by.
    pub align: i64,
}

/// From `media` on, until the next knot, the line goes through `placed` with this slope (µs per
/// µs).
#[derive(Clone, Copy, Debug)]
struct Knot {
    media: i64,
    placed: i64,
    slope: f64,
}

impl Knot {
    fn at(self, media: i64) -> i64 {
        self.placed + ((media - self.media) as f64 * self.slope).round() as i64
    }
}

/// The packet with the least delay of one second of arrivals.
#[derive(Clone, Copy, Debug)]
struct Second {
    key: i64,
    media: i64,
    offset: i64,
}

/// Change of the offset per media time.
#[derive(Clone, Copy, Debug)]
struct Rate {
    slope: f64,
    sd: f64,
}

impl Mapping {
    pub fn new(origin: i64, first_sequence: i64, start: i64, align: i64) -> Self {
        Self {
            origin,
            first_sequence,
            knots: VecDeque::from([Knot {
                media: 0,
                placed: start,
                slope: 1.0,
            }]),
            frontier: 0,
            new_until: NEW,
            seconds: VecDeque::new(),
            reports: VecDeque::new(),
            rate: None,
            kept_rate: None,
            raised: Raised::default(),
            align,
        }
    }

    pub fn media(&self, timestamp: i64, rate: Ticks) -> i64 {
        rate.micros(timestamp - self.origin)
    }

    pub fn is_new(&self, media: i64) -> bool {
        media < 2_000_000 || self.seconds.len() < 3
    }

    /// The placing itself.
    pub fn at(&self, media: i64) -> i64 {
        let newer = self.knots.iter().rev().find(|knot| knot.media <= media);
        newer.map_or_else(
            || self.knots[0].placed - (self.knots[0].media - media),
            |knot| knot.at(media),
        )
    }

    fn newest(&self) -> Knot {
        *self.knots.back().expect("never empty")
    }

    /// The end is by the piece of line that the last of it lies on: where the line steps, what was
    /// before keeps its length.
    pub fn span(&self, media: i64, end: i64) -> Span {
        let until = self
            .knots
            .iter()
            .rev()
            .find(|knot| knot.media < end)
            .map_or_else(|| self.at(end), |k| k.at(end));
        Span::new(MeetingTime(self.at(media)), MeetingTime(until))
    }

    /// Change of the offset per media time, when it is known.
    pub fn drift(&self) -> Option<f64> {
        self.rate.map(|rate| rate.slope)
    }

    /// Until when the meeting's timeline is taken.
    pub fn used(&self) -> i64 {
        self.at(self.frontier)
    }

    /// Our clock minus the sender's wall clock, by the last report. `None` while it is unclear
    /// whether the counter stood still.
    pub fn sender_offset(&self) -> Option<i64> {
        if self.raised.is_open() {
            return None;
        }
        let (ntp, media) = *self.reports.back()?;
        Some(media + self.own_target(media) - ntp)
    }

    pub fn align(&mut self, by: i64) {
        if (self.align - by).abs() > 5 * DEAD_BAND {
            self.new_until = self.new_until.max(self.frontier + NEW / 2);
        }
        self.align = by;
    }

    /// The offset that this stream's own arrivals ask for at `media`.
    fn own_target(&self, media: i64) -> i64 {
        // What a clock may have wandered since a second that lies further back than the window.
        let unsure = self.rate.map_or(600e-6, |rate| 2.0 * rate.sd + 20e-6);
        let newest = self.seconds.back().map_or(0, |second| second.media);
        let least = self.seconds.iter().rev().take(WINDOW).map(|second| {
            let age = (newest - second.media - (WINDOW as i64 * 1_000_000)).max(0);
            second.offset
                + ((media - second.media) as f64 * self.drift().unwrap_or(0.0)
                    + age as f64 * unsure) as i64
        });
        least
            .min()
            .unwrap_or_else(|| self.newest().placed - self.newest().media)
    }

    pub fn target(&self, media: i64) -> i64 {
        self.own_target(media) + self.align
    }

    pub fn observe(&mut self, arrived: i64, end: i64) {
        let key = arrived.div_euclid(1_000_000);
        let offset = arrived - end;
        if !self.seconds.is_empty()
            && let Some(by) = self.raised.observe(arrived, offset - self.own_target(end))
        {
            let least = self.own_target(end) + by;
            self.kept_rate = self.rate.or(self.kept_rate);
            self.seconds.clear();
            self.seconds.push_back(Second {
                key,
                media: end,
                offset: least,
            });
            return;
        }
        match self.seconds.back_mut() {
            Some(second) if second.key == key => {
                if offset < second.offset {
                    (second.offset, second.media) = (offset, end);
                }
            }
            _ => {
                if self.seconds.len() >= WINDOW {
                    self.kept_rate = None;
                }
                self.rate = self.measure().or(self.kept_rate);
                self.seconds.push_back(Second {
                    key,
                    media: end,
                    offset,
                });
                if self.seconds.len() > RATE_WINDOW {
                    self.seconds.pop_front();
                }
            }
        }
    }

    /// Bends the line behind the frontier towards the target, then moves the frontier to `end`.
    pub fn advance(&mut self, media: i64, end: i64) {
        if media >= self.frontier {
            let placed = self.at(media);
            let error = media + self.target(media) - placed;
            if media - self.frontier >= SILENCE {
                let before = self.at(self.frontier);
                let placed = if error.abs() > DEAD_BAND {
                    (placed + error).max(before)
                } else {
                    placed
                };
                let slope = (placed - before) as f64 / (media - self.frontier) as f64;
                self.add_knot(Knot {
                    media: self.frontier,
                    placed: before,
                    slope,
                });
                self.add_knot(Knot {
                    media,
                    placed,
                    slope: 1.0 + self.drift().unwrap_or(0.0),
                });
            } else if error >= STEP {
                self.add_knot(Knot {
                    media,
                    placed: placed + error,
                    slope: 1.0 + self.drift().unwrap_or(0.0),
                });
            } else if media - self.newest().media >= 100_000 {
                let quick = media < self.new_until || error.abs() > OFF;
                let limit = if quick { SLEW_NEW } else { SLEW };
                let pull = if error.abs() > DEAD_BAND {
                    error as f64 / 1e6 / PULL_S
                } else {
                    0.0
                };
                self.add_knot(Knot {
                    media,
                    placed,
                    slope: 1.0 + self.drift().unwrap_or(0.0) + pull.clamp(-limit, limit),
                });
            }
        }
        self.frontier = self.frontier.max(end);
    }

    fn add_knot(&mut self, knot: Knot) {
        if self.newest().media == knot.media {
            self.knots.pop_back();
        }
        self.knots.push_back(knot);
        if self.knots.len() > 128 {
            self.knots.pop_front();
        }
    }

    pub fn report(&mut self, ntp: i64, media: i64) {
        if let Some(&(last_ntp, last_media)) = self.reports.back() {
            let (passed, played) = (ntp - last_ntp, media - last_media);
            if passed <= 0 || (passed - played).abs() > 20_000 + passed / 500 {
                // The sender's wall clock was set, or its counter: only what comes after is
                // comparable.
                self.reports.clear();
            }
        }
        self.reports.push_back((ntp, media));
        if self.reports.len() > 16 {
            self.reports.pop_front();
        }
    }

    /// The surer of arrivals and reports; arrivals when they contradict, for they were seen with
    /// our clock.
    fn measure(&self) -> Option<Rate> {
        let told = self.reported_rate().filter(|rate| rate.sd <= RATE_SD_MAX);
        let seen = self.seen_rate().filter(|rate| rate.sd <= RATE_SD_MAX);
        let rate = match (seen, told) {
            (Some(seen), Some(told)) => {
                let agree = (seen.slope - told.slope).abs() <= 3.0 * (seen.sd + told.sd) + 50e-6;
                Some(if agree && told.sd < seen.sd {
                    told
                } else {
                    seen
                })
            }
            (seen, told) => seen.or(told),
        }?;
        // A clock that is as good as true counts as true: its packets keep their exact length.
        let slope = if rate.slope.abs() <= (2.0 * rate.sd).max(15e-6) {
            0.0
        } else {
            rate.slope
        };
        (slope.abs() <= RATE_MAX).then_some(Rate { slope, ..rate })
    }

    fn reported_rate(&self) -> Option<Rate> {
        let ((ntp, media), (last_ntp, last_media)) =
            (*self.reports.front()?, *self.reports.back()?);
        let played = (last_media - media) as f64;
        // Senders write the pair to within about a millisecond.
        (played > 0.0).then(|| Rate {
            slope: (last_ntp - ntp) as f64 / played - 1.0,
            sd: 1_000.0 / played,
        })
    }

    /// Least squares through the minima of each second.
    fn seen_rate(&self) -> Option<Rate> {
        let n = self.seconds.len();
        if n < WINDOW {
            return None;
        }
        let mean = |of: fn(&Second) -> i64| {
            self.seconds
                .iter()
                .map(|second| of(second) as f64)
                .sum::<f64>()
                / n as f64
        };
        let (x, y) = (mean(|second| second.media), mean(|second| second.offset));
        let (mut xx, mut xy) = (0.0, 0.0);
        for second in &self.seconds {
            let dx = second.media as f64 - x;
            xx += dx * dx;
            xy += dx * (second.offset as f64 - y);
        }
        let slope = xy / xx;
        let rest: f64 = self
            .seconds
            .iter()
            .map(|second| second.offset as f64 - y - slope * (second.media as f64 - x))
            .map(|rest| rest * rest)
            .sum();
        (xx > 0.0).then(|| Rate {
            slope,
            sd: (rest / (n - 2) as f64 / xx).sqrt(),
        })
    }
}
