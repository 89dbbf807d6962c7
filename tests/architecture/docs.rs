//! What docs and comments name is there: files and modules, links, and the map of the tree in
//! DESIGN.

use super::{all_sources, root};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where a path that a document names may begin.
const BASES: [&str; 4] = ["", "src", "src/domain", "docs"];
/// What a module's name leaves out.
const ENDINGS: [&str; 3] = ["", ".rs", ".ts"];

fn package() -> PathBuf {
    root().parent().expect("it has one").to_owned()
}

fn documents() -> Vec<PathBuf> {
    let package = package();
    let mut found = vec![package.join("README.md"), package.join("CONTRIBUTING.md")];
    for folder in ["docs", "docs/decisions"] {
        for entry in fs::read_dir(package.join(folder)).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Without blocks of code, whose names are examples.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("it is text");
    text.split("```").step_by(2).collect()
}

/// The names in a folder, without `.rs`.
fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").file_name())
        .map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned())
        .collect()
}

/// `a/{b,c}` as `a/b` and `a/c`. Other braces hold a part of an object's key.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.to_owned()];
    };
    let (inside, behind) = rest.split_once('}').unwrap_or((rest, ""));
    if !inside.contains(',') {
        return Vec::new();
    }
    inside
        .split(',')
        .flat_map(|one| alternatives(&format!("{before}{one}{behind}")))
        .collect()
}

/// What stands between backticks and looks like a path into the tree.
fn named(text: &str, beginnings: &BTreeSet<String>) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|span| span.split("::").next().unwrap_or_default())
        .filter(|span| {
            span.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_./{},-".contains(c))
        })
        .filter(|span| {
            span.split_once('/')
                .is_some_and(|(first, _)| beginnings.contains(first))
        })
        .flat_map(alternatives)
        // `models/FILE` stands for any.
        .filter(|path| {
            !path
                .split('/')
                .any(|part| part.len() > 1 && part.bytes().all(|c| c.is_ascii_uppercase()))
        })
        .collect()
}

fn is_there(path: &str) -> bool {
    let package = package();
    // A record is named by its number.
    if let Some(number) = path.strip_prefix("decisions/") {
        let records = names(&package.join("docs/decisions"));
        return records.iter().any(|record| record.starts_with(number));
    }
    BASES.iter().any(|base| {
        ENDINGS.iter().any(|ending| {
            let path = format!("{}{ending}", path.trim_end_matches('/'));
            package.join(base).join(path).exists()
        })
    })
}

/// What a path into the tree begins with.
fn beginnings() -> BTreeSet<String> {
    let package = package();
    let mut found = BTreeSet::from(["decisions".to_owned()]);
    for base in ["", "src", "src/domain"] {
        found.extend(names(&package.join(base)));
    }
    found
}

#[test]
fn paths_in_the_docs_lead_somewhere() {
    let beginnings = beginnings();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for document in documents() {
        for path in named(&prose(&document), &beginnings) {
            seen += 1;
            if !is_there(&path) {
                wrong.push(format!("{} names {path}", document.display()));
            }
        }
    }
    assert!(seen > 250, "{seen} paths were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A module that moved is named by its old place nowhere.
#[test]
fn paths_in_comments_lead_somewhere() {
    let beginnings = beginnings();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for source in all_sources() {
        let text = fs::read_to_string(&source).expect("it is text");
        let comments: String = text
            .lines()
            .map(str::trim_start)
            .filter_map(|line| line.strip_prefix("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for path in named(&comments, &beginnings) {
            seen += 1;
            if !is_there(&path) {
                wrong.push(format!("{} names {path}", source.display()));
            }
        }
    }
    assert!(seen > 10, "{seen} paths were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn links_in_the_docs_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for document in documents() {
        let folder = document.parent().expect("it lies in one");
        let text = prose(&document);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            seen += 1;
            if !folder.join(file).exists() {
                wrong.push(format!("{} links to {target}", document.display()));
            }
        }
    }
    assert!(seen > 40, "{seen} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands in brackets explains the name before it.
fn without_brackets(text: &str) -> String {
    let mut depth = 0;
    text.chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let outside = depth == 0;
            depth -= i32::from(*c == ')');
            outside
        })
        .collect()
}

/// Section 4 of DESIGN has the tree: every module of the first level and of the domain, and no
/// other.
#[test]
fn the_map_in_the_design_is_the_tree() {
    let package = package();
    let design = fs::read_to_string(package.join("docs/DESIGN.md")).expect("it is text");
    let map = design
        .split("\nsrc/\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("it has a map of src/");
    let (before, rest) = map.split_once("\n  domain/").expect("it has the domain");
    let (_, rest) = rest.split_once('\n').expect("its modules follow");
    // Deeper lines are the domain's.
    let domain: String = rest
        .lines()
        .take_while(|line| line.starts_with("     "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let listed: BTreeSet<String> = without_brackets(&domain)
        .split([',', '\n'])
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let mut modules = names(&package.join("src/domain"));
    for other in ["Cargo.toml", "clippy.toml", "lib", "tests"] {
        modules.remove(other);
    }
    assert_eq!(listed, modules, "modules of the domain");

    let first_level = names(&package.join("src"));
    for module in &first_level {
        let is_named = |text: &str| {
            text.split_whitespace()
                .any(|word| word == format!("{module}/") || word == format!("{module}.rs"))
        };
        assert!(
            module == "domain" || is_named(before) || is_named(rest),
            "{module} is missing"
        );
    }
}
