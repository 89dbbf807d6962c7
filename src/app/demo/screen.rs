//! What the demo writes to: a terminal, where things are replaced in place, or a file or pipe,
//! which gets plain lines.
#![allow(clippy::print_stdout, reason = "this is what the demo says")]

use console::{Term, measure_text_width, style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Lines are broken at this width also on wider terminals.
const WIDTH_MAX: usize = 110;
/// What took less is not talked about.
const WORTH_SAYING: Duration = Duration::from_secs(1);

pub struct Screen {
    terminal: bool,
    bars: MultiProgress,
}

impl Screen {
    pub fn new() -> Self {
        let terminal = Term::stdout().is_term();
        let target = if terminal {
            ProgressDrawTarget::stdout_with_hz(20)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            terminal,
            bars: MultiProgress::with_draw_target(target),
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Columns for a line.
    pub fn width(&self) -> usize {
        if self.terminal {
            usize::from(Term::stdout().size().1).clamp(40, WIDTH_MAX)
        } else {
            WIDTH_MAX
        }
    }

    /// Writes lines that stay.
    pub fn say(&self, text: &str) {
        for line in text.split('\n') {
            if self.terminal {
                // A terminal that went away takes nothing; the play goes on.
                let _ = self.bars.println(line);
            } else {
                println!("{line}");
            }
        }
    }

    pub fn title(&self, text: &str) {
        self.say(&style(text).bold().to_string());
    }

    pub fn heading(&self, text: &str) {
        self.say("");
        self.title(text);
    }

    /// Shows that something is being done, until [`Work::done`].
    pub fn work(&self, what: &str) -> Work {
        let began = Instant::now();
        let bar = self
            .bars
            .add(ProgressBar::new_spinner().with_style(template("{spinner} {msg} {elapsed}")));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        if !self.terminal {
            self.say(&format!("{what} …"));
        }
        Work {
            bar,
            what: what.to_owned(),
            began,
        }
    }

    /// A bar at the bottom.
    pub fn bar(&self, length: u64, form: &str) -> ProgressBar {
        self.bars
            .add(ProgressBar::new(length).with_style(template(form)))
    }

    /// A line that is replaced in place, above a bar.
    pub fn line_above(&self, bar: &ProgressBar) -> ProgressBar {
        self.bars.insert_before(
            bar,
            ProgressBar::new_spinner().with_style(template("{msg}")),
        )
    }

    pub fn remove(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.bars.remove(bar);
    }
}

/// Something that takes its time.
pub struct Work {
    bar: ProgressBar,
    what: String,
    began: Instant,
}

impl Work {
    /// Says how long it took, when that was long enough to wonder.
    pub fn done(self, screen: &Screen) {
        screen.remove(&self.bar);
        let took = self.began.elapsed();
        if took >= WORTH_SAYING {
            screen.say(&format!("{}: {:.1} s", self.what, took.as_secs_f64()));
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn template(form: &str) -> ProgressStyle {
    ProgressStyle::with_template(form)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━ ")
}

/// Breaks at spaces; lines after the first are indented.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut wrapped = String::with_capacity(text.len() + 16);
    let mut column = 0;
    for word in text.split(' ') {
        let length = measure_text_width(word);
        if column > indent && column + 1 + length > width {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// The end of a text that fits, since that is what changes.
pub fn tail(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for word in text.split(' ').rev() {
        let longer = format!("{word} {kept}");
        if measure_text_width(&longer) + 2 > width {
            break;
        }
        kept = longer;
    }
    format!("… {}", kept.trim_end())
}

/// `1:05`.
pub fn clock(seconds: i64) -> String {
    format!("{}:{:02}", seconds.div_euclid(60), seconds.rem_euclid(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_stay_within_the_width() {
        assert_eq!(wrap("one two three", 80, 4), "one two three");
        assert_eq!(wrap("one two three four", 9, 2), "one two\n  three\n  four");
        // A word that is longer than the line stays whole.
        assert_eq!(wrap("incomprehensible no", 6, 2), "incomprehensible\n  no");
        for width in 10..40 {
            let text = wrap("the quick brown fox jumps over the lazy dog", width, 3);
            assert!(
                text.lines().all(|line| measure_text_width(line) <= width),
                "{width}: {text}"
            );
        }
    }

    #[test]
    fn of_a_long_partial_the_end_is_shown() {
        assert_eq!(tail("so the next step", 40), "so the next step");
        assert_eq!(tail("so the next step", 12), "… next step");
        assert!(measure_text_width(&tail("so the next step is to", 14)) <= 14);
    }

    #[test]
    fn times() {
        assert_eq!(
            (clock(0), clock(65), clock(3_600)),
            ("0:00".into(), "1:05".into(), "60:00".into())
        );
    }
}
