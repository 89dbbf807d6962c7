//! What `hansard models bench` measured, kept in the data folder by model and machine.

use super::model::Model;
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

/// In the data folder.
const FILE: &str = "models/measured.json";
/// Models and machines kept; the oldest goes first.
const KEPT_MAX: usize = 64;

/// A machine as far as decoding depends on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub gpu: bool,
}

impl Machine {
    /// The one that this runs on.
    pub fn here(gpu: bool) -> Self {
        let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = about
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == "model name");
        Self {
            cpu: named
                .map_or(std::env::consts::ARCH, |(_, name)| name.trim())
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            gpu,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Entry {
    /// Of the model's file.
    sha256: String,
    machine: Machine,
    meetings: u32,
}

/// What another version wrote, or nobody, counts as nothing measured.
fn read(data: &Path) -> Vec<Entry> {
    fs::read(data.join(FILE))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// How many live meetings the machine carries with the model; `None`: not measured.
pub fn meetings(data: &Path, model: &Model, machine: &Machine) -> Option<u32> {
    read(data)
        .into_iter()
        .find(|entry| entry.sha256 == model.sha256 && entry.machine == *machine)
        .map(|entry| entry.meetings)
}

/// Keeps it.
pub fn keep(data: &Path, model: &Model, machine: &Machine, meetings: u32) -> io::Result<()> {
    let mut entries = read(data);
    entries.retain(|entry| entry.sha256 != model.sha256 || entry.machine != *machine);
    entries.push(Entry {
        sha256: model.sha256.clone(),
        machine: machine.clone(),
        meetings,
    });
    let surplus = entries.len().saturating_sub(KEPT_MAX);
    entries.drain(..surplus);
    let file = data.join(FILE);
    let new = file.with_extension("new");
    fs::create_dir_all(data.join("models"))?;
    fs::write(&new, serde_json::to_vec_pretty(&entries)?)?;
    fs::rename(new, file)
}
