//! No two files of a folder know each other, by whatever way round; `mod.rs` apart, which names
//! them all.

use super::{code, is_test, root, sources, without_tests};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The parts of `{a, b::{c, d}}`'s inside.
fn parts(group: &str) -> Vec<&str> {
    let (mut found, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&group[from..]);
    found.retain(|part| !part.is_empty());
    found
}

/// The paths of a `use` tree without white space.
fn flatten(before: &str, tree: &str, into: &mut Vec<String>) {
    match tree.split_once('{') {
        None => into.push(format!("{before}{tree}")),
        Some((head, rest)) => {
            let group = rest.strip_suffix('}').unwrap_or(rest);
            for part in parts(group) {
                flatten(&format!("{before}{head}"), part, into);
            }
        }
    }
}

/// Every path that begins with `crate` or `super`, those of `use` lines whole.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        let Some((visibility, tree)) = line.split_once("use ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        if !(visibility.is_empty() || visibility.starts_with("pub")) {
            rest.push_str(line);
            rest.push('\n');
            continue;
        }
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            let Some(line) = lines.next() else { break };
            tree.push_str(line);
        }
        let tree: String = tree
            .split(';')
            .next()
            .unwrap_or_default()
            .split(" as ")
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        flatten("", &tree, &mut found);
    }
    for root in ["crate::", "super::"] {
        for (at, _) in rest.match_indices(root) {
            let path = &rest[at..];
            let end = path
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .unwrap_or(path.len());
            found.push(path[..end].to_owned());
        }
    }
    found
}

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
            for named in paths(without_tests(&code(path))) {
                for prefix in [&whole, &upwards] {
                    if let Some(rest) = named.strip_prefix(prefix.as_str()) {
                        used.insert(rest.split("::").next().unwrap_or_default().to_owned());
                    }
                }
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
    assert_eq!(
        paths("pub use crate::{\n  a::{b, c},\n  d,\n};\nlet x = super::e::f();"),
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
