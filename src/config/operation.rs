//! The commands of the commands: what an operator asks for once.

use crate::domain::tenant_settings::{Change, Days, SelfErasure};
use clap::{Args, Subcommand};

#[derive(Subcommand, Debug, Clone)]
pub enum ModelCommand {
    /// Those known, and which of them are here
    List,
    /// Downloads one, checks it, and makes it the default
    Fetch {
        name: String,
        /// Where the files lie, for a mirror of your own
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
    },
    /// Measures how many live meetings this machine carries with one, or with each that is here
    Bench {
        name: Option<String>,
        /// How long each is measured, at most about so long
        #[arg(long, default_value_t = 20, value_name = "N")]
        seconds: u32,
    },
}

#[derive(Subcommand, Debug, Clone)]
pub enum KeyCommand {
    /// Makes a key and prints it, once
    Create {
        /// The tenant's name; it is made if there is none
        #[arg(long, value_name = "NAME")]
        tenant: String,
    },
    /// The keys of a tenant, by their first characters
    List {
        #[arg(long, value_name = "NAME")]
        tenant: String,
    },
    /// Makes a key useless
    Revoke { id: uuid::Uuid },
}

#[derive(Subcommand, Debug, Clone)]
pub enum ConsentCommand {
    /// Walks the chain of a meeting's entries and says whether it holds; the exit code is 1 when
    /// one does not
    Verify {
        #[arg(required = true, value_name = "MEETING")]
        meetings: Vec<uuid::Uuid>,
    },
}

#[derive(Subcommand, Debug, Clone)]
pub enum LedgerCommand {
    /// Carries out what the ledger has and the database does not, which was restored from a backup
    Replay {
        /// Also behind entries that are missing, changed or cannot be read
        #[arg(long)]
        accept_breaks: bool,
    },
    /// Walks each tenant's chain of entries and says whether it holds and the database has all of
    /// it; the exit code is 1 when one does not
    Verify,
}

#[derive(Subcommand, Debug, Clone)]
pub enum SpoolsCommand {
    /// Which machines may have sound that is not in storage, by the file spool-id in their data
    /// folders
    List,
    /// Says that a machine's disk is destroyed: nobody waits any more for what it had, and
    /// certificates say so
    Forget {
        spool: uuid::Uuid,
        /// Who destroyed it and how, for the record
        #[arg(long, value_name = "TEXT")]
        by: String,
    },
}

#[derive(Subcommand, Debug, Clone)]
pub enum JobsCommand {
    /// Those that wait, run or failed, those that failed first
    List {
        /// Also those that are done
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, default_value_t = 200, value_name = "N")]
        limit: u32,
    },
    /// Everything about one
    Show { id: uuid::Uuid },
    /// Tries one that failed again, and one that waits at once
    Retry { id: uuid::Uuid },
}

#[derive(Subcommand, Debug, Clone)]
pub enum TierCommand {
    /// What would move today, what that saves, and what it all costs from here on; moves nothing
    Plan {
        /// Only of this tenant
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
}

#[derive(Args, Debug, Clone, Copy)]
pub struct SweepFlags {
    /// Changes nothing, and lists what no row tells of
    #[arg(long)]
    pub dry_run: bool,
    /// Also where more than 1 % of the bucket goes
    #[arg(long)]
    pub all: bool,
    /// Says that it is the right bucket, where its mark is lost or of a later time than the
    /// database, and marks it
    #[arg(long)]
    pub mark: bool,
}

#[derive(Subcommand, Debug, Clone)]
pub enum TenantCommand {
    Create {
        name: String,
    },
    List,
    /// Sets what holds for all meetings of a tenant, also for those that there are, and prints it;
    /// what is not named stays
    Set {
        name: String,
        #[command(flatten)]
        change: TenantFlags,
    },
}

#[derive(Args, Debug, Clone, Copy)]
pub struct TenantFlags {
    /// Days from a meeting's end to the tier warm, or never
    #[arg(long, value_name = "DAYS")]
    pub warm_days: Option<Days>,
    /// To the tier cold
    #[arg(long, value_name = "DAYS")]
    pub cold_days: Option<Days>,
    /// To the archive, from which a recording is read after a restore only
    #[arg(long, value_name = "DAYS")]
    pub archive_days: Option<Days>,
    /// Days from a meeting's end to the deletion of what was recorded of it, or never
    #[arg(long, value_name = "DAYS")]
    pub retention_days: Option<Days>,
    /// What becomes of a participant's own wish to be erased: auto, ask or off
    #[arg(long, value_name = "ANSWER")]
    pub self_erasure: Option<SelfErasure>,
}

impl From<TenantFlags> for Change {
    fn from(flags: TenantFlags) -> Self {
        Self {
            warm: flags.warm_days,
            cold: flags.cold_days,
            archive: flags.archive_days,
            retention: flags.retention_days,
            self_erasure: flags.self_erasure,
        }
    }
}
