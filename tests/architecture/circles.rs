//! No two files of a folder know each other, by whatever way round; `mod.rs` apart, which names
//! them all.

use super::{code, first_name, is_test, paths, root, sources, without_tests};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What the files of one folder (a folder in it counts as one) know of each other.
fn known(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in sources(folder) {
        let inside = path.strip_prefix(folder).expect("it lies there");
        let first = inside.iter().next().expect("it has a name");
        let name = first.to_string_lossy();
        let name = name.trim_end_matches(".rs");
        if !is_test(&path) && !["mod", "lib", "main"].contains(&name) {
            files.entry(name.to_owned()).or_default().push(path);
        }
    }
    let inside = folder.strip_prefix(root()).expect("it lies in src");
    let mut steps: Vec<_> = inside.iter().map(|step| step.to_string_lossy()).collect();
    // Packages of their own.
    if steps
        .first()
        .is_some_and(|first| ["client", "domain"].contains(&first.as_ref()))
    {
        steps.remove(0);
    }
    let whole: String = std::iter::once("crate::".to_owned())
        .chain(steps.iter().map(|step| format!("{step}::")))
        .collect();
    let names: BTreeSet<String> = files.keys().cloned().collect();
    let knows = |(name, paths_of): (&String, &Vec<PathBuf>)| {
        let mut used = BTreeSet::new();
        for path in paths_of {
            let mut depth = path
                .strip_prefix(folder)
                .expect("it lies there")
                .iter()
                .count();
            if path.ends_with("mod.rs") {
                depth -= 1;
            }
            let upwards = "super::".repeat(depth);
            let code = code(path);
            for (root, prefix) in [("crate::", &whole), ("super::", &upwards)] {
                let named = paths(without_tests(&code), root);
                let inside = named
                    .iter()
                    .filter_map(|path| path.strip_prefix(prefix.as_str()));
                used.extend(inside.map(first_name));
            }
        }
        used.remove(name);
        (name.clone(), used.intersection(&names).cloned().collect())
    };
    files.iter().map(knows).collect()
}

/// Whatever can be reached from a file.
fn reach(from: &str, known: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&String> = known[from].iter().collect();
    while let Some(next) = waiting.pop() {
        if found.insert(next.clone()) {
            waiting.extend(&known[next]);
        }
    }
    found
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(folders(&path));
            found.push(path);
        }
    }
    found
}

#[test]
fn no_files_of_a_folder_know_each_other_in_a_circle() {
    let code = "pub use crate::{\n  a::{b as x, c},\n  d, g::*,\n};\nlet x = super::e::f();";
    assert_eq!(
        [paths(code, "crate::"), paths(code, "super::")].concat(),
        ["crate::a::b", "crate::a::c", "crate::d", "super::e::f"]
    );
    let mut wrong = Vec::new();
    let mut seen = 0;
    for folder in folders(&root()) {
        let known = known(&folder);
        seen += known.values().map(BTreeSet::len).sum::<usize>();
        for name in known.keys() {
            if reach(name, &known).contains(name) {
                let others: Vec<_> = known[name]
                    .iter()
                    .filter(|other| reach(other, &known).contains(name))
                    .collect();
                wrong.push(format!("{}/{name} and {others:?}", folder.display()));
            }
        }
    }
    assert!(seen > 100, "{seen} uses were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
