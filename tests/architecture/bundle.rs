//! The pages inside the program are built of the sources beside them, which is seen without Node.

use super::root;
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

/// Files of `web/` that are not below `src`, and what the bundle is made of.
const BESIDE: [&str; 4] = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
];

fn below(folder: &Path, name: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("it is there") {
        let entry = entry.expect("it can be read");
        let name = format!("{name}/{}", entry.file_name().to_str().expect("text"));
        if entry.path().is_dir() {
            below(&entry.path(), &name, found);
        } else {
            found.push(name);
        }
    }
}

#[test]
fn the_bundle_is_of_these_sources() {
    let web = root().with_file_name("web");
    let mut sources: Vec<String> = BESIDE.map(str::to_owned).to_vec();
    below(&web.join("src"), "src", &mut sources);
    sources.sort();
    let mut hash = Sha256::new();
    for source in &sources {
        let content = fs::read(web.join(source)).expect("it can be read");
        hash.update(format!("{source} {}\n", content.len()));
        hash.update(&content);
    }
    let hash: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let bundle = fs::read_to_string(web.join("dist/pages.js")).expect("it is committed");
    assert_eq!(
        bundle.lines().next(),
        Some(format!("{}{hash} */", hansard::api::web::asset::SOURCES).as_str()),
        "web/ changed: run make web, and commit web/dist"
    );
}

/// As of the program itself: more and it has more than one job.
#[test]
fn a_source_of_the_pages_has_one_job() {
    let web = root().with_file_name("web");
    let mut sources = Vec::new();
    below(&web.join("src"), "src", &mut sources);
    for source in sources {
        let text = fs::read_to_string(web.join(&source)).expect("text");
        let lines = text.lines().count();
        assert!(lines <= super::LINES_MAX, "web/{source} has {lines} lines");
    }
}
