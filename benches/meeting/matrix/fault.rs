//! What goes wrong.

use super::{Site, World};
use crate::support::{
    faults::{Fault as Rules, Rule},
    server::Server,
};
use anyhow::Result;
use std::{fmt, time::Duration};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    S3Refuses,
    S3Fails,
    S3Swallows,
    S3Slow,
    S3Away,
    PostgresAway,
    BrokerAway,
    DiskFull,
    Kill,
    Term,
}

/// What happens to the process while the fault lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    None,
    Kill,
    Term,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S3Refuses => "S3 refuses (403)",
            Self::S3Fails => "S3 fails (500)",
            Self::S3Swallows => "S3 never answers",
            Self::S3Slow => "S3 takes 300 ms",
            Self::S3Away => "S3 is away",
            Self::PostgresAway => "Postgres is away",
            Self::BrokerAway => "RabbitMQ is away",
            Self::DiskFull => "the disk is full",
            Self::Kill => "kill -9",
            Self::Term => "SIGTERM",
        })
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no restart",
            Self::Kill => "kill -9 and a start meanwhile",
            Self::Term => "SIGTERM and a start meanwhile",
        })
    }
}

/// Those that are tried.
pub fn runs(all: bool) -> Vec<(Fault, Restart)> {
    use Fault::{
        BrokerAway, DiskFull, Kill, PostgresAway, S3Away, S3Fails, S3Refuses, S3Slow, S3Swallows,
        Term,
    };
    let ends = [(Kill, Restart::None), (Term, Restart::None)];
    if !all {
        let few = [
            (S3Refuses, Restart::None),
            (S3Away, Restart::Kill),
            (PostgresAway, Restart::None),
            (BrokerAway, Restart::None),
            (DiskFull, Restart::None),
        ];
        return few.into_iter().chain(ends).collect();
    }
    let lasting = [
        S3Refuses,
        S3Fails,
        S3Swallows,
        S3Slow,
        S3Away,
        PostgresAway,
        BrokerAway,
        DiskFull,
    ];
    let each =
        |fault| [Restart::None, Restart::Kill, Restart::Term].map(|restart| (fault, restart));
    lasting.into_iter().flat_map(each).chain(ends).collect()
}

impl Fault {
    /// Whether it is an end of the process, and over with its next start.
    pub fn is_an_end(self) -> bool {
        matches!(self, Self::Kill | Self::Term)
    }

    /// What `/readyz` says of it.
    pub fn degraded(self) -> Option<&'static str> {
        match self {
            Self::S3Refuses | Self::S3Fails | Self::S3Swallows | Self::S3Away => Some("storage"),
            Self::PostgresAway => Some("database"),
            Self::BrokerAway => Some("broker"),
            Self::DiskFull => Some("spool_full"),
            Self::S3Slow | Self::Kill | Self::Term => None,
        }
    }

    pub fn is_of_storage(self) -> bool {
        self.degraded() == Some("storage")
    }

    pub async fn begin(
        self,
        world: &World,
        site: &Site,
        server: &mut Option<Server>,
    ) -> Result<()> {
        let faults = &world.faults;
        match self {
            Self::S3Refuses => faults.set(&[Rule::all(Rules::Answer(403, "AccessDenied"))]),
            Self::S3Fails => faults.set(&[Rule::all(Rules::Answer(500, "InternalError"))]),
            Self::S3Swallows => faults.set(&[Rule::all(Rules::Swallow)]),
            Self::S3Slow => faults.delay(Duration::from_millis(300)),
            Self::S3Away => faults.refuse(),
            Self::PostgresAway => world.cluster.kill().await,
            Self::BrokerAway => world.rabbit.lock().await.kill().await,
            Self::DiskFull => {
                if let Some(server) = server {
                    site.disk.fill(server);
                }
            }
            Self::Kill => Restart::Kill.end(server).await?,
            Self::Term => Restart::Term.end(server).await?,
        }
        Ok(())
    }

    pub async fn heal(self, world: &World, site: &Site, server: Option<&Server>) {
        world.faults.delay(Duration::ZERO);
        match self {
            Self::PostgresAway => world.cluster.restart().await,
            Self::BrokerAway => world.rabbit.lock().await.restart().await,
            Self::DiskFull => site.disk.free(server),
            Self::Kill | Self::Term => {}
            _ => world.faults.heal(),
        }
    }
}

impl Restart {
    /// Ends the process.
    pub async fn end(self, server: &mut Option<Server>) -> Result<()> {
        match (self, server.take()) {
            (Self::None, running) => *server = running,
            (Self::Kill, Some(running)) => running.kill(),
            // With things away it may end by the end of its grace time.
            (Self::Term, Some(running)) => {
                tokio::task::spawn_blocking(|| running.stop()).await?;
            }
            (_, None) => {}
        }
        Ok(())
    }
}
