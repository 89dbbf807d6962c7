//! Reads settings from flags, environment and file. All three end up as flags and are read by the
//! same parser, so that a value means the same wherever it stands.

use super::{
    Note,
    command::{AllFlags, Base, Front, Media, StandaloneFlags, Stores},
};
use clap::{CommandFactory, FromArgMatches};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// Customary variables beside our own `HANSARD_…`; an earlier one wins.
const CUSTOMARY: [(&str, &str); 13] = [
    ("DATABASE_URL", "database-url"),
    ("AMQP_URL", "amqp-url"),
    ("S3_ENDPOINT", "s3-endpoint"),
    ("S3_PUBLIC_ENDPOINT", "s3-public-endpoint"),
    ("S3_BUCKET", "s3-bucket"),
    ("S3_REGION", "s3-region"),
    ("S3_CHECKSUMS", "s3-checksums"),
    ("S3_ADDRESSING", "s3-addressing"),
    ("AWS_REGION", "s3-region"),
    ("S3_ACCESS_KEY_ID", "s3-access-key-id"),
    ("AWS_ACCESS_KEY_ID", "s3-access-key-id"),
    ("S3_SECRET_ACCESS_KEY", "s3-secret-access-key"),
    ("AWS_SECRET_ACCESS_KEY", "s3-secret-access-key"),
];

/// Settings whose values may stand in a file that `…_FILE` names, and are never shown.
const SECRETS: [&str; 5] = [
    "secret",
    "s3-secret-access-key",
    "turn-secret",
    "database-url",
    "amqp-url",
];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No value may be in here that might be a secret.
    #[error("{name}: {why}")]
    Wrong { name: String, why: String },
    #[error("there is no setting {name} ({place})")]
    Unknown { name: String, place: String },
    #[error("missing: {}; `api` and `worker` share these with others, so they bring none along", .0.join(", "))]
    Missing(Vec<&'static str>),
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
}

/// Where settings are read from.
#[derive(Default)]
pub struct Sources {
    flags: AllFlags,
    environment: BTreeMap<String, OsString>,
    /// Ends the name of the default data folder, so that a command keeps apart from `serve`.
    apart: &'static str,
    /// Of the operations address, where none is given.
    ops_port: u16,
}

/// What the sources said, together.
pub(super) struct Merged {
    pub given: AllFlags,
    pub notes: Vec<Note>,
    pub ops_port: u16,
}

impl Sources {
    /// The flags of a command and this process's environment.
    pub fn new(base: Base) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect();
        Self {
            flags: AllFlags {
                base,
                ..Default::default()
            },
            environment,
            apart: "",
            ops_port: 9090,
        }
    }

    /// The same, of all groups.
    pub fn whole(
        StandaloneFlags {
            base,
            front,
            stores,
            media,
        }: StandaloneFlags,
    ) -> Self {
        Self::new(base).front(front).stores(stores).media(media)
    }

    pub fn front(mut self, front: Front) -> Self {
        self.flags.front = front;
        self
    }

    pub fn stores(mut self, stores: Stores) -> Self {
        self.flags.stores = stores;
        self
    }

    pub fn media(mut self, media: Media) -> Self {
        self.flags.media = media;
        self
    }

    /// Changes the default data folder from `hansard` to `hansard-NAME`; `suffix` is `-NAME`.
    pub fn apart(mut self, suffix: &'static str) -> Self {
        self.apart = suffix;
        self
    }

    /// Changes the port of the operations address where none is given, so that two roles on one
    /// host do not meet.
    pub fn ops_port(mut self, port: u16) -> Self {
        self.ops_port = port;
        self
    }

    /// In place of this process's environment.
    pub fn environment<'a>(
        mut self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        self.environment = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        self
    }

    /// Under the user's data home.
    pub(super) fn default_data(&self) -> Option<PathBuf> {
        let absolute = |name| {
            self.environment
                .get(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home =
            absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
        Some(home.join(format!("hansard{}", self.apart)))
    }

    /// The default data folder of `serve`, for a command whose own is another.
    pub(super) fn models_beside(&self) -> Option<PathBuf> {
        let own = self.default_data().filter(|_| !self.apart.is_empty())?;
        Some(own.with_file_name("hansard"))
    }

    /// Flag, else environment, else file.
    pub(super) fn merge(self) -> Result<Merged, ConfigError> {
        let mut notes = exposed(&self.flags);
        let not_ours: Vec<&str> = self
            .environment
            .iter()
            .filter(|(name, value)| is_cluster(name, value))
            .map(|(name, _)| name.as_str())
            .collect();
        if !not_ours.is_empty() {
            notes.push(Note {
                harmless: true,
                found: format!(
                    "left alone, since Kubernetes sets them for a Service: {}",
                    not_ours.join(", ")
                ),
                mend: String::new(),
            });
        }
        let environment = parse(from_environment(&self.environment)?)?;
        let given = self.flags.or(environment);
        let given = match given.base.config.clone() {
            None => given,
            Some(path) => {
                let text = std::fs::read_to_string(&path).map_err(|error| ConfigError::File {
                    path: path.clone(),
                    why: error.to_string(),
                })?;
                let file = parse(from_toml(&text, &path)?)?;
                given.or(file)
            }
        };
        Ok(Merged {
            given,
            notes,
            ops_port: self.ops_port,
        })
    }
}

/// URLs with a password among the flags.
fn exposed(flags: &AllFlags) -> Vec<Note> {
    let of = |flag: &str, url: &Option<String>, variable: &str| {
        let has_password =
            reqwest::Url::parse(url.as_deref()?).is_ok_and(|url| url.password().is_some());
        has_password.then(|| Note {
            harmless: false,
            found: format!("--{flag} holds a password, and every user of this machine sees a process's arguments"),
            mend: format!("set {variable}, or name a file that holds it with {variable}_FILE"),
        })
    };
    let stores = &flags.stores;
    let database = of("database-url", &stores.database_url, "DATABASE_URL");
    [database, of("amqp-url", &stores.amqp_url, "AMQP_URL")]
        .into_iter()
        .flatten()
        .collect()
}

/// Kubernetes gives every pod variables for each Service of its namespace, named after it: of one
/// called `hansard` `HANSARD_SERVICE_HOST`, `HANSARD_SERVICE_PORT_HTTP`, `HANSARD_PORT=tcp://…`,
/// `HANSARD_PORT_8080_TCP_ADDR` …, of `hansard-api` `HANSARD_API_SERVICE_HOST` and so on.
fn is_cluster(variable: &str, value: &OsString) -> bool {
    let Some(rest) = variable.strip_prefix("HANSARD_") else {
        return false;
    };
    if known(&rest.to_ascii_lowercase().replace('_', "-")) {
        return false;
    }
    let parts: Vec<&str> = rest.split('_').collect();
    let protocol = |part: &str| matches!(part, "TCP" | "UDP" | "SCTP");
    let is_address = value
        .to_str()
        .and_then(|value| value.split_once("://"))
        .is_some_and(|(scheme, rest)| {
            protocol(&scheme.to_ascii_uppercase()) && rest.parse::<std::net::SocketAddr>().is_ok()
        });
    parts.ends_with(&["SERVICE", "HOST"])
        || parts.windows(2).any(|pair| pair == ["SERVICE", "PORT"])
        || (parts.last() == Some(&"PORT") && is_address)
        || parts.windows(3).any(|three| {
            three[0] == "PORT" && three[1].parse::<u16>().is_ok() && protocol(three[2])
        })
}

/// A setting's name, its value, and where that stood.
struct Given {
    name: String,
    value: String,
    place: String,
}

fn known(name: &str) -> bool {
    AllFlags::command()
        .get_arguments()
        .any(|argument| argument.get_long() == Some(name))
}

fn parse(given: Vec<Given>) -> Result<AllFlags, ConfigError> {
    // One at a time first, so that an error can say which it was without showing a secret.
    for Given { name, value, place } in &given {
        if !known(name) {
            return Err(ConfigError::Unknown {
                name: name.clone(),
                place: place.clone(),
            });
        }
        if let Err(error) = AllFlags::command().try_get_matches_from([format!("--{name}={value}")])
        {
            let why = match SECRETS.contains(&name.as_str()) {
                true => "it cannot be read".to_owned(),
                false => reason(&error.to_string()),
            };
            return Err(ConfigError::Wrong {
                name: place.clone(),
                why,
            });
        }
    }
    let all = given
        .iter()
        .map(|Given { name, value, .. }| format!("--{name}={value}"));
    AllFlags::command()
        .try_get_matches_from(all)
        .and_then(|matches| AllFlags::from_arg_matches(&matches))
        .map_err(|error| ConfigError::Wrong {
            name: "settings".to_owned(),
            why: reason(&error.to_string()),
        })
}

/// The first line of clap's message, without its prefix.
fn reason(message: &str) -> String {
    message
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

fn from_environment(variables: &BTreeMap<String, OsString>) -> Result<Vec<Given>, ConfigError> {
    let mut found: Vec<Given> = Vec::new();
    for (variable, value) in variables {
        let Some(rest) = variable
            .strip_prefix("HANSARD_")
            .filter(|_| !is_cluster(variable, value))
        else {
            continue;
        };
        // Unset, as compose files and unit files write it.
        if value.is_empty() && known(&rest.to_ascii_lowercase().replace('_', "-")) {
            continue;
        }
        let name = rest.to_ascii_lowercase().replace('_', "-");
        let (name, from_file) = match name.strip_suffix("-file") {
            Some(secret) if SECRETS.contains(&secret) => (secret.to_owned(), true),
            _ => (name, false),
        };
        found.push(Given {
            name,
            value: text(variable, value, from_file)?,
            place: variable.clone(),
        });
    }
    for (variable, name) in CUSTOMARY {
        if found.iter().any(|given| given.name == name) {
            continue;
        }
        let file_variable = format!("{variable}_FILE");
        let from_file = SECRETS
            .contains(&name)
            .then(|| variables.get(&file_variable))
            .flatten();
        if let Some(value) = variables.get(variable).filter(|value| !value.is_empty()) {
            let value = text(variable, value, false)?;
            found.push(Given {
                name: name.to_owned(),
                value,
                place: variable.to_owned(),
            });
        } else if let Some(path) = from_file {
            let value = text(&file_variable, path, true)?;
            found.push(Given {
                name: name.to_owned(),
                value,
                place: file_variable,
            });
        }
    }
    // The same by value and by file, say: which is meant?
    for (n, given) in found.iter().enumerate() {
        if let Some(other) = found[..n].iter().find(|other| other.name == given.name) {
            return Err(ConfigError::Wrong {
                name: given.place.clone(),
                why: format!("{} is set, too", other.place),
            });
        }
    }
    Ok(found)
}

fn text(variable: &str, value: &OsString, is_path: bool) -> Result<String, ConfigError> {
    if is_path {
        let path = PathBuf::from(value);
        let read = std::fs::read_to_string(&path);
        let read = read.map_err(|error| ConfigError::File {
            path,
            why: format!("{error} (from {variable})"),
        })?;
        return Ok(read.trim_end_matches(['\n', '\r']).to_owned());
    }
    let why = || ConfigError::Wrong {
        name: variable.to_owned(),
        why: "it is not UTF-8".to_owned(),
    };
    value.to_str().map(str::to_owned).ok_or_else(why)
}

fn from_toml(content: &str, path: &std::path::Path) -> Result<Vec<Given>, ConfigError> {
    let table: toml::Table =
        content
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::File {
                path: path.to_owned(),
                // Not its display, which shows the line and with it maybe a secret.
                why: error.message().to_owned(),
            })?;
    let mut found = Vec::new();
    collect(&table, "", &mut found, &path.display().to_string())?;
    for (n, given) in found.iter().enumerate() {
        if found[..n]
            .iter()
            .any(|other: &Given| other.name == given.name)
        {
            return Err(ConfigError::Wrong {
                name: given.place.clone(),
                why: "it is there twice".to_owned(),
            });
        }
    }
    Ok(found)
}

fn collect(
    table: &toml::Table,
    prefix: &str,
    found: &mut Vec<Given>,
    file: &str,
) -> Result<(), ConfigError> {
    for (key, value) in table {
        let name = format!("{prefix}{}", kebab(key));
        let place = format!("{name} in {file}");
        let plain = |value: &toml::Value| match value {
            toml::Value::String(text) => Ok(text.clone()),
            toml::Value::Integer(number) => Ok(number.to_string()),
            _ => Err(ConfigError::Wrong {
                name: place.clone(),
                why: "it is neither text nor a number".to_owned(),
            }),
        };
        match value {
            toml::Value::Table(inner) => collect(inner, &format!("{name}-"), found, file)?,
            toml::Value::Array(items) if items.is_empty() => {}
            toml::Value::Array(items) => {
                let value = items
                    .iter()
                    .map(plain)
                    .collect::<Result<Vec<_>, _>>()?
                    .join(",");
                found.push(Given { name, value, place });
            }
            value => found.push(Given {
                value: plain(value)?,
                name,
                place,
            }),
        }
    }
    Ok(())
}

/// `publicIp` → `public-ip`.
fn kebab(key: &str) -> String {
    let mut name = String::new();
    for c in key.chars() {
        match c {
            'A'..='Z' => {
                name.push('-');
                name.push(c.to_ascii_lowercase());
            }
            '_' => name.push('-'),
            c => name.push(c),
        }
    }
    name
}
