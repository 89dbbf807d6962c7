//! `hansard doctor`: what is missing or misconfigured, and how to mend it. Uses what is there like
//! a process would (a private Postgres that does not run is started and stopped again), changes
//! nothing else, and waits for nothing long.

mod check;
mod database;
mod deletions;
mod jobs;
mod limit;
mod reach;
mod storage;
mod sweep;

pub(crate) use storage::reach_bucket;

use crate::config::Settings;
use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

/// The longest that one check may take.
const CHECK_MAX: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    Ok,
    /// It works, but not as it should.
    Warn,
    Fail,
}

/// What one check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub state: State,
    pub what: &'static str,
    pub found: String,
    /// What to do about it; none when it is well.
    pub mend: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            state: State::Ok,
            what,
            found: found.into(),
            mend: None,
        }
    }

    fn warn(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state: State::Warn,
            what,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn fail(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            what,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        write!(f, "{state:<5} {:<18} {}", self.what, self.found)?;
        if let Some(mend) = &self.mend {
            write!(f, "\n{:24} → {mend}", "")?;
        }
        Ok(())
    }
}

/// Checks one thing after the other and tells each finding as it comes.
pub async fn examine(settings: &Settings, mut tell: impl FnMut(Finding)) {
    for finding in reach::settings(settings) {
        tell(finding);
    }
    for finding in [check::gstreamer().await, check::data(settings)] {
        tell(finding);
    }
    for finding in check::model(settings).await {
        tell(finding);
    }
    for finding in bounded("Postgres", database::postgres(settings)).await {
        tell(finding);
    }
    for finding in bounded("queue", check::queue(settings)).await {
        tell(finding);
    }
    for finding in bounded("object storage", storage::objects(settings)).await {
        tell(finding);
    }
    tell(limit::descriptors());
    tell(limit::proxy(settings));
    tell(check::ports(settings));
    tell(check::webrtc(settings));
    for finding in reach::front(settings).await {
        tell(finding);
    }
}

async fn bounded(what: &'static str, check: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    tokio::time::timeout(CHECK_MAX, check)
        .await
        .unwrap_or_else(|_| {
            let found = format!("no answer within {} s", CHECK_MAX.as_secs());
            vec![Finding::fail(
                what,
                found,
                "see whether it hangs or a firewall drops what is sent to it",
            )]
        })
}

/// Tries each call that Hansard makes of S3 on the bucket, below a prefix of its own, and tells
/// each finding as it comes. Leaves nothing behind.
pub async fn examine_storage(settings: &Settings, tell: impl FnMut(Finding)) {
    storage::conform(settings, tell).await;
}

/// Prints the findings; the code is 1 when something fails. With `s3` they are those of
/// [`examine_storage`].
pub async fn run(settings: &Settings, s3: bool) -> ExitCode {
    let mut worst = State::Ok;
    let mut out = io::stdout();
    let tell = |finding: Finding| {
        worst = worst.max(finding.state);
        // Whoever reads may have read enough (`| head`); the exit code still counts.
        let _ = writeln!(out, "{finding}");
    };
    if s3 {
        examine_storage(settings, tell).await;
    } else {
        examine(settings, tell).await;
    }
    let verdict = match worst {
        State::Ok => "All is well.",
        State::Warn => "It works; the lines with `warn` say what could be better.",
        State::Fail => "It does not work yet; the lines with `FAIL` say what to do.",
    };
    let _ = writeln!(out, "\n{verdict}");
    if worst == State::Fail {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
