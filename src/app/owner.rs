//! Which owners of leases this data folder had. One process at a time has the folder, so whoever
//! owned leases from here before is dead for sure, and what it held can be taken without waiting
//! for the leases to run out.

use crate::secret_file;
use anyhow::Context;
use std::{fs, path::Path};
use tracing::warn;
use uuid::Uuid;

/// Writes down who owns leases from now on, and answers who did before.
pub fn renew(data: &Path, owners: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
    let path = data.join("owners");
    let before = match fs::read_to_string(&path) {
        // A file that cannot be understood only means waiting.
        Ok(text) => text.lines().filter_map(|line| line.parse().ok()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let lines: String = owners.iter().map(|owner| format!("{owner}\n")).collect();
    if let Err(error) = secret_file::write(&path, lines.as_bytes()) {
        // A disk that is full holds nobody up: whoever comes after us waits for our leases to run
        // out.
        warn!(%error, "{} cannot be written", path.display());
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_before_are_known() {
        let folder =
            std::env::temp_dir().join(format!("hansard-owners-{}", Uuid::new_v4().simple()));
        fs::create_dir(&folder).expect("there is room");
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        assert!(renew(&folder, &[a, b]).expect("is written").is_empty());
        assert_eq!(renew(&folder, &[c]).expect("is written"), [a, b]);
        fs::write(folder.join("owners"), "what is this\n").expect("is written");
        assert!(renew(&folder, &[a]).expect("is written").is_empty());
        fs::remove_dir_all(folder).expect("it is ours");
    }
}
