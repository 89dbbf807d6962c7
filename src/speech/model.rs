//! Speech models: which there are (`models/models.toml`, and the operator's own in the data
//! folder), where their files lie, and whether they are whole.

use crate::domain::{consent::hex, schedule::Effort, time::Micros};
use anyhow::{Context as _, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The list that this build knows.
const LIST: &str = include_str!("../../models/models.toml");
/// In the data folder: models of the operator's own, in the same form. One with a known name stands
/// for that.
const OWN_LIST: &str = "models/models.toml";
/// In the data folder: the name of the model to use when none is asked for.
const DEFAULT_FILE: &str = "models/default";
/// Encoder positions that were enough for text that may still change, with each official model
/// (docs/BENCHMARKS.md, "Real voices").
const PARTIAL_FLOOR: u32 = 256;
/// whisper.cpp keeps no more decoders.
const BEAMS_MAX: u32 = 8;
/// Encoder positions of 30 s, which is all that Whisper hears at once.
const CTX_MAX: u32 = 1_500;
/// Every ggml model begins with these bytes.
const MAGIC: [u8; 4] = *b"lmgg";

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    pub name: String,
    pub file: String,
    /// Relative to the base URL; none for one that is not fetched.
    pub url: Option<String>,
    pub size_bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// ISO 639-1; `*` for all that Whisper knows.
    pub languages: Vec<String>,
    pub longest_utterance_seconds: u32,
    pub audio_ctx_floor: u32,
    pub audio_ctx_margin: u32,
    /// The same for text that may still change; without it [`PARTIAL_FLOOR`], unless finals need
    /// less.
    pub audio_ctx_floor_partial: Option<u32>,
    /// Whether the glossary may be given as a prompt.
    pub prompt: bool,
    /// Whether what the speaker said before may be.
    #[serde(default = "yes")]
    pub context: bool,
    /// How many hypotheses finals follow at once while there is no load; the best of several has
    /// fewer wrong words, and costs that many times the decoder's time.
    #[serde(default = "one")]
    pub beams: u32,
    /// Whether it was trained with time stamps, as every official model was.
    #[serde(default = "yes")]
    pub time_stamps: bool,
    #[serde(default)]
    pub bundled: bool,
    /// For whoever chooses one; none is needed.
    #[serde(default)]
    pub note: String,
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

impl Model {
    /// What of it no decoder can do.
    fn fault(&self) -> Option<String> {
        let numbers = [
            ("beams", self.beams, 1..=BEAMS_MAX),
            (
                "longestUtteranceSeconds",
                self.longest_utterance_seconds,
                1..=30,
            ),
            ("audioCtxFloor", self.audio_ctx_floor, 0..=CTX_MAX),
            ("audioCtxMargin", self.audio_ctx_margin, 0..=CTX_MAX),
            (
                "audioCtxFloorPartial",
                self.audio_ctx_floor_partial.unwrap_or(0),
                0..=CTX_MAX,
            ),
        ];
        let fault = numbers
            .iter()
            .find(|(_, value, range)| !range.contains(value));
        fault.map(|(name, value, range)| {
            let (least, most) = range.clone().into_inner();
            format!(
                "{name} of the model {} is {value}; it has to be {least} to {most}",
                self.name
            )
        })
    }

    pub fn longest(&self) -> Micros {
        Micros::from_secs(i64::from(self.longest_utterance_seconds))
    }

    /// The least encoder positions for a decode of this kind.
    pub fn ctx_floor(&self, effort: Effort) -> u32 {
        match effort {
            Effort::Quick => self
                .audio_ctx_floor_partial
                .unwrap_or(self.audio_ctx_floor.min(PARTIAL_FLOOR)),
            _ => self.audio_ctx_floor,
        }
    }

    /// The language of a model that knows only one.
    pub fn only_language(&self) -> Option<&str> {
        match &self.languages[..] {
            [only] if only != "*" => Some(only),
            _ => None,
        }
    }
}

/// Why a model cannot be used, in words for an operator.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("no model is called {name:?}; there are: {known}")]
    Unknown { name: String, known: String },
    #[error(
        "the model {name} is not there (looked for {file} in {looked}); get it with: hansard models fetch {name}"
    )]
    Missing {
        name: String,
        file: String,
        looked: String,
    },
    #[error("the model {name} is not there: put {file} into {looked}")]
    NotPut {
        name: String,
        file: String,
        looked: String,
    },
    #[error("{} is cut short: {found} of {expected} bytes; get it again with: hansard models fetch {name}", path.display())]
    Truncated {
        name: String,
        path: PathBuf,
        found: u64,
        expected: u64,
    },
    #[error("{} is not the model {name}: {why}", path.display())]
    Wrong {
        name: String,
        path: PathBuf,
        why: String,
    },
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

impl ModelError {
    /// Whether an official file is missing or not whole, so that fetching it mends that.
    pub const fn is_mended_by_fetching(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Truncated { .. })
    }
}

#[derive(Deserialize)]
struct List {
    model: Vec<Model>,
}

/// Every model known, and the folders that may hold their files.
#[derive(Clone, Debug)]
pub struct Registry {
    models: Vec<Model>,
    data: PathBuf,
    folders: Vec<PathBuf>,
}

impl Registry {
    /// `data` is the data folder; fetched models lie in its `models`. The bundled one is also
    /// looked for beside the program.
    pub fn new(data: &Path) -> anyhow::Result<Self> {
        let List { model: mut models } = toml::from_str(LIST)?;
        let own = own_list(data)?;
        models.retain(|model: &Model| own.iter().all(|own| own.name != model.name));
        models.extend(own);
        let mut folders = vec![data.join("models")];
        if let Ok(program) = std::env::current_exe() {
            // Beside it, in `share` next to `bin`, or in the repository that it was built in.
            for up in program.ancestors().skip(1).take(4) {
                folders.push(up.join("models"));
                folders.push(up.join("share/hansard/models"));
            }
        }
        // Builds are shared between clones of the repository, and the clone that this was built in
        // may be gone.
        folders.push(PathBuf::from("models"));
        folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
        Ok(Self {
            models,
            data: data.to_owned(),
            folders,
        })
    }

    /// Uses the models of another data folder, too; what stands in both is this one's.
    pub fn beside(mut self, data: &Path) -> anyhow::Result<Self> {
        for model in own_list(data)? {
            if self.models.iter().all(|known| known.name != model.name) {
                self.models.push(model);
            }
        }
        self.folders.insert(1, data.join("models"));
        Ok(self)
    }

    /// The default if it is one for people and here, else another for people that is here, the
    /// quickest first; without any the default.
    pub fn best_here(&self) -> String {
        let default = self.default_name();
        let is_real = |model: &&Model| !model.bundled && self.find(&model.name).is_ok();
        let mut real = self.models.iter().filter(is_real);
        let chosen = real
            .clone()
            .find(|model| model.name == default)
            .or_else(|| real.next());
        chosen.map_or(default, |model| model.name.clone())
    }

    pub fn models(&self) -> &[Model] {
        &self.models
    }

    pub fn model(&self, name: &str) -> Result<&Model, ModelError> {
        self.models
            .iter()
            .find(|model| model.name == name)
            .ok_or_else(|| ModelError::Unknown {
                name: name.to_owned(),
                known: self
                    .models
                    .iter()
                    .map(|model| model.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// The name in [`DEFAULT_FILE`] of the data folder, else the bundled model's.
    pub fn default_name(&self) -> String {
        let chosen = fs::read_to_string(self.data.join(DEFAULT_FILE)).unwrap_or_default();
        let chosen = chosen.trim();
        match self
            .models
            .iter()
            .find(|model| model.name == chosen || chosen.is_empty() && model.bundled)
        {
            Some(model) => model.name.clone(),
            None => chosen.to_owned(),
        }
    }

    pub fn set_default(&self, name: &str) -> io::Result<()> {
        let file = self.data.join(DEFAULT_FILE);
        let new = file.with_extension("new");
        fs::create_dir_all(self.data.join("models"))?;
        fs::write(&new, name)?;
        fs::rename(new, file)
    }

    /// Where a fetched model goes.
    pub fn place(&self, model: &Model) -> PathBuf {
        self.data.join("models").join(&model.file)
    }

    /// Finds a model's file and checks its size and first bytes, which is quick;
    /// [`Registry::verify`] reads all of it.
    pub fn find(&self, name: &str) -> Result<(Model, PathBuf), ModelError> {
        let model = self.model(name)?.clone();
        let Some(path) = self
            .folders
            .iter()
            .map(|folder| folder.join(&model.file))
            .find(|path| path.is_file())
        else {
            let looked = self
                .folders
                .first()
                .map(|folder| folder.display().to_string())
                .unwrap_or_default();
            return Err(match model.url {
                Some(_) => ModelError::Missing {
                    name: model.name,
                    file: model.file,
                    looked,
                },
                None => ModelError::NotPut {
                    name: model.name,
                    file: model.file,
                    looked,
                },
            });
        };
        look(&model, &path)?;
        Ok((model, path))
    }

    /// Compares the whole file with its checksum.
    pub fn verify(&self, name: &str) -> Result<(Model, PathBuf), ModelError> {
        let (model, path) = self.find(name)?;
        let found = checksum(&path).map_err(|source| ModelError::Unreadable {
            path: path.clone(),
            source,
        })?;
        if found != model.sha256 {
            let why = format!("its sha256 is {found}, not {}", model.sha256);
            return Err(ModelError::Wrong {
                name: model.name,
                path,
                why,
            });
        }
        Ok((model, path))
    }
}

/// The models of an operator's own in a data folder.
fn own_list(data: &Path) -> anyhow::Result<Vec<Model>> {
    let own = data.join(OWN_LIST);
    match fs::read_to_string(&own) {
        Ok(text) => {
            let list: List = toml::from_str(&text).with_context(|| {
                format!(
                    "{} is no list of models like models/models.toml",
                    own.display()
                )
            })?;
            if let Some(fault) = list.model.iter().find_map(Model::fault) {
                bail!("{}: {fault}", own.display());
            }
            Ok(list.model)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", own.display())),
    }
}

fn look(model: &Model, path: &Path) -> Result<(), ModelError> {
    let unreadable = |source| ModelError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = fs::File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?.len();
    let mut magic = [0; 4];
    let read = file.read(&mut magic).map_err(unreadable)?;
    let wrong = |why: String| ModelError::Wrong {
        name: model.name.clone(),
        path: path.to_owned(),
        why,
    };
    if read > 0 && magic[..read] != MAGIC[..read] {
        return Err(wrong("it does not begin like a ggml model".into()));
    }
    match found.cmp(&model.size_bytes) {
        std::cmp::Ordering::Less => Err(ModelError::Truncated {
            name: model.name.clone(),
            path: path.to_owned(),
            found,
            expected: model.size_bytes,
        }),
        std::cmp::Ordering::Greater => Err(wrong(format!(
            "it has {found} bytes, not {}",
            model.size_bytes
        ))),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// The file's SHA-256, lower-case hex.
pub fn checksum(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&sha.finalize())),
            read => sha.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_may_change_is_decoded_in_a_window_of_its_own() {
        let registry = Registry::new(Path::new("/nonexistent")).expect("the list of models");
        let model = registry.model("base").expect("an official model");
        let floors = |finals, partials| {
            let model = Model {
                audio_ctx_floor: finals,
                audio_ctx_floor_partial: partials,
                ..model.clone()
            };
            [Effort::Quick, Effort::Firm, Effort::Beams].map(|effort| model.ctx_floor(effort))
        };
        assert_eq!(floors(384, Some(128)), [128, 384, 384]);
        assert_eq!(floors(384, None), [PARTIAL_FLOOR, 384, 384]);
        assert_eq!(floors(64, None), [64; 3], "finals need less");
    }

    #[test]
    fn a_number_that_no_decoder_can_do_is_refused_by_name() {
        let data = std::env::temp_dir().join(format!("hansard-models-{}", std::process::id()));
        fs::create_dir_all(data.join("models")).expect("a folder");
        let entry = |beams: u32, floor: u32| {
            format!(
                "[[model]]\nname = \"own\"\nfile = \"own.bin\"\nsizeBytes = 1\nsha256 = \"00\"\n\
                 languages = [\"en\"]\nlongestUtteranceSeconds = 20\naudioCtxFloor = {floor}\n\
                 audioCtxMargin = 64\nprompt = false\nbeams = {beams}\n"
            )
        };
        for (beams, floor, named) in [
            (8, 1_500, None),
            (
                0,
                256,
                Some("beams of the model own is 0; it has to be 1 to 8"),
            ),
            (9, 256, Some("beams of the model own is 9")),
            (1, 1_501, Some("audioCtxFloor of the model own is 1501")),
        ] {
            fs::write(data.join(OWN_LIST), entry(beams, floor)).expect("writes");
            let read = own_list(&data).map(|list| list.len());
            match named {
                None => assert_eq!(read.expect("a good list"), 1),
                Some(named) => {
                    let error = format!("{:#}", read.expect_err("refused"));
                    assert!(error.contains(named) && error.contains(OWN_LIST), "{error}");
                }
            }
        }
        fs::remove_dir_all(&data).expect("removes the folder");
    }
}
