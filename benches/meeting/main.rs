//! Whole meetings, measured end to end on real processes: real RTP into the release build of
//! `hansard`, its captions as a client receives them, its files as ffmpeg plays them.
//! `cargo bench --bench meeting -- SCENARIO …`
//!
//! Figures of latency and load mean something only while nothing else runs on the machine; each
//! table says what its load was before.

mod captions;
mod far;
mod files;
mod kills;
mod load;
mod made;
mod matrix;
mod memory;
mod official;
mod offline;
mod rig;
mod rooms;
mod settings;
mod shape;
mod sockets;
mod sound;
mod speed;
mod table;
mod tiers;
mod voices;
mod withdraw;

#[path = "../../tests/support/mod.rs"]
mod support;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use std::{fs, path::PathBuf, process::ExitCode, time::Instant};
use table::Table;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Scenario {
    /// Word error rate and latency of planning and incident, one participant declining in each
    Captions,
    /// 60 s of silence and of noise
    Silence,
    /// Three minutes of one voice without its pauses
    Monologue,
    /// The same meeting through 2 × api and 2 × worker
    Cluster,
    /// The largest number of meetings at once, and what happens beyond it
    Load,
    /// What happens beyond a number of meetings (--meetings)
    Overload,
    /// From the end of a 90 s meeting to its files, and what is in them
    Mix,
    /// The mix of four hours of eight tracks: time and memory
    Hours,
    /// Ten minutes of a true clock
    Drift,
    /// kill -9 at 30 random moments of a meeting
    Kills,
    /// What goes wrong, when, and with or without a restart; every cell with --all
    Matrix,
    /// Withdrawals in mid-tone: plain, with the queue down, with Postgres down
    Withdraw,
    /// Storage that is far away, and storage that comes back
    Far,
    /// Moves between storage tiers
    Tiers,
    /// Ten people with cameras in one meeting, beside `janus` where that is installed
    Rooms,
    /// 3,000 sockets on one meeting, and crowds that mean harm beside one
    Sockets,
    /// Resident memory by meetings and by decoder states
    Memory,
    /// Decode time against the bare model, and at official sizes
    Decode,
    /// A meeting's captions at official sizes
    Official,
    /// Captions of real voices by real models, of --data and --voices
    Voices,
    /// Many meetings of real voices at once
    VoicesLoad,
    /// 40 short answers, of --made
    VoicesAnswers,
    /// Half an hour of voices, of --made
    VoicesLoops,
    /// Real voices on a path that loses 5 % of the packets
    VoicesLoss,
    /// Several languages in one meeting, of --made
    VoicesLanguages,
    /// What a refinement after the end makes of real voices
    VoicesRefined,
    /// What a decode of each model costs, and what its settings do to words
    Settings,
}

impl Scenario {
    /// Without being named: what a machine has time for in between.
    const USUAL: [Self; 7] = [
        Self::Captions,
        Self::Silence,
        Self::Mix,
        Self::Matrix,
        Self::Withdraw,
        Self::Memory,
        Self::Decode,
    ];

    /// Whether it needs models and voices that are not in the repository.
    fn needs_material(self) -> bool {
        matches!(
            self,
            Self::Voices
                | Self::VoicesLoad
                | Self::VoicesLoss
                | Self::VoicesRefined
                | Self::Settings
        ) || self.needs_made()
    }

    /// Whether it needs what `benches/voices.py` makes.
    fn needs_made(self) -> bool {
        matches!(
            self,
            Self::VoicesAnswers | Self::VoicesLoops | Self::VoicesLanguages
        )
    }
}

#[derive(Parser)]
#[command(about = "Measures whole meetings")]
struct Options {
    /// Which; without any, those that take no more than fourteen minutes together
    scenarios: Vec<Scenario>,
    /// Every scenario, or those named, at full length
    #[arg(long)]
    all: bool,
    /// How often `captions` plays both sets [default: 3 when named, else 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Where `load` begins its search, what `overload` goes beyond [default: 8], or the only crowd
    /// of `voices-load`
    #[arg(long)]
    meetings: Option<usize>,
    /// How long `drift` lasts
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Of `matrix` only what has this in its name
    #[arg(long, default_value = "")]
    only: String,
    /// How often `kills` kills
    #[arg(long, default_value_t = 30)]
    kills: usize,
    /// Of `voices`: a data folder with models, as an operator has it
    #[arg(long, env = "HANSARD_BENCH_DATA")]
    data: Option<PathBuf>,
    /// Of `voices`: a folder with meeting.json and the voices
    #[arg(long, env = "HANSARD_BENCH_VOICES")]
    voices: Option<PathBuf>,
    /// Of `voices-answers`, `-loops` and `-languages`: what benches/voices.py wrote
    #[arg(long, env = "HANSARD_BENCH_MADE")]
    made: Option<PathBuf>,
    /// Of `voices`: only these models
    #[arg(long)]
    model: Vec<String>,
    /// Put the tables into docs/BENCHMARKS.md
    #[arg(long)]
    write: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn first(&self) -> usize {
        self.meetings.unwrap_or(8)
    }

    fn has_material(&self) -> bool {
        self.data.is_some() && self.voices.is_some()
    }

    fn material(&self) -> Result<voices::Material> {
        voices::Material::of(
            self.data.as_deref(),
            self.voices.as_deref(),
            self.made.as_deref(),
            &self.model,
        )
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let named = options.all || !options.scenarios.is_empty();
    let scenarios = match options.all {
        _ if !options.scenarios.is_empty() => options.scenarios.clone(),
        true => Scenario::value_variants()
            .iter()
            .copied()
            .filter(|one| options.has_material() || !one.needs_material())
            .filter(|one| options.made.is_some() || !one.needs_made())
            .filter(|one| *one != Scenario::Overload)
            .collect(),
        false => Scenario::USUAL.to_vec(),
    };
    let rounds = options.rounds.unwrap_or(if named { 3 } else { 1 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut code = ExitCode::SUCCESS;
    for scenario in scenarios {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let begun = Instant::now();
        match runtime.block_on(play(scenario, &options, rounds)) {
            Ok(tables) => {
                for table in tables {
                    let (held, limits) = table.held();
                    println!("\n{table}\n{held} of {limits} limits held.");
                    if options.write {
                        let file =
                            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/BENCHMARKS.md");
                        table.write_into(&file)?;
                    }
                }
            }
            Err(error) => {
                println!("\n{scenario:?} could not be measured: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
        println!(
            "({cores} cores, load {load} before, took {:.0} s)",
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(code)
}

async fn play(scenario: Scenario, options: &Options, rounds: usize) -> Result<Vec<Table>> {
    Ok(match scenario {
        Scenario::Captions => vec![captions::captions(rounds).await?],
        Scenario::Silence => {
            let mut tables = vec![captions::silence().await?];
            if options.has_material() {
                tables.push(captions::silence_by(&options.material()?).await?);
            }
            tables
        }
        Scenario::Monologue => vec![captions::monologue().await?],
        Scenario::Cluster => vec![captions::cluster(rounds).await?],
        Scenario::Load => {
            let (table, most) = load::load(options.first()).await?;
            vec![
                table,
                load::overload(most.unwrap_or(options.first())).await?,
            ]
        }
        Scenario::Overload => vec![load::overload(options.first()).await?],
        Scenario::Mix => vec![files::mix().await?],
        Scenario::Hours => vec![files::hours().await?],
        Scenario::Drift => vec![files::drift(options.seconds).await?],
        Scenario::Kills => vec![kills::kills(options.kills).await?],
        Scenario::Matrix => vec![matrix::matrix(options.all, &options.only).await?],
        Scenario::Withdraw => vec![withdraw::withdraw().await?],
        Scenario::Far => vec![far::far().await?],
        Scenario::Tiers => vec![tiers::moves().await?],
        Scenario::Rooms => vec![rooms::rooms().await?],
        Scenario::Sockets => sockets::sockets().await?,
        Scenario::Memory => vec![memory::memory().await?],
        Scenario::Decode => vec![speed::decode().await?],
        Scenario::Official => vec![official::official().await?],
        Scenario::Voices => vec![voices::voices(&options.material()?, rounds).await?],
        Scenario::VoicesLoad => vec![voices::crowd(&options.material()?, options.meetings).await?],
        Scenario::VoicesAnswers => vec![made::answers(&options.material()?).await?],
        Scenario::VoicesLoops => vec![made::loops(&options.material()?).await?],
        Scenario::VoicesLoss => vec![made::loss(&options.material()?, rounds).await?],
        Scenario::VoicesLanguages => made::languages(&options.material()?).await?,
        Scenario::VoicesRefined => vec![made::refined(&options.material()?).await?],
        Scenario::Settings => vec![settings::settings(&options.material()?).await?],
    })
}
