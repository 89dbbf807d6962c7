//! Holds the code to the map in `src/lib.rs`: who may use whom, how long a file may be, and that
//! the domain does no IO.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

mod bundle;
mod circles;
mod docs;
mod effects;
mod facts;

/// Lines of a file; more and it has more than one job.
const LINES_MAX: usize = 500;

/// The rows, from what knows nothing to what knows everything. A module may use those named, and
/// itself.
fn may_use(module: &str) -> Option<&'static [&'static str]> {
    const BELOW: &[&str] = &["domain", "clock", "health"];
    const MIDDLE: &[&str] = &[
        "domain",
        "clock",
        "health",
        "ingest",
        "media",
        "speech",
        "store",
        "objects",
        "queue",
        "worker",
        "command",
        "published",
        "ledger",
    ];
    Some(match module {
        "clock" | "health" => &["domain"],
        "descriptor" | "secret_file" => &[],
        "ingest" | "media" | "speech" | "store" | "objects" | "queue" => BELOW,
        // Leases and claims, whatever the job is.
        "worker" => &["domain", "clock", "health", "store", "queue"],
        // What callers do to a meeting: free of HTTP and sockets.
        "command" => &["domain", "store"],
        // Publishes what is committed.
        "published" => &["domain", "store", "queue"],
        // Written before rows, and made into rows again.
        "ledger" => &["domain", "clock", "health", "store", "objects", "command"],
        // Side by side: they speak through `queue`.
        "api" | "capture" | "jobs" => MIDDLE,
        "config" => &["domain", "objects"],
        "embed" => &["secret_file", "clock"],
        "doctor" => &[
            "domain",
            "clock",
            "config",
            "descriptor",
            "embed",
            "media",
            "speech",
            "store",
            "objects",
            "queue",
        ],
        // Puts it all together.
        "app" | "main" | "lib" => return None,
        other => panic!("{other} is on no row: give it its place in this test and in src/lib.rs"),
    })
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Without comments and the contents of strings.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("it is text");
    let mut code = String::new();
    for line in text.lines() {
        let mut quoted = false;
        let mut before = ' ';
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if quoted => {
                    chars.next();
                }
                '"' if before != '\'' => quoted = !quoted,
                '/' if !quoted && chars.peek() == Some(&'/') => break,
                c if !quoted => code.push(c),
                _ => {}
            }
            before = c;
        }
        code.push('\n');
    }
    code
}

/// Every path that begins with `root` (`crate::`), those of a `use` tree each by itself.
fn paths(code: &str, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        let preceded = code[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if !preceded {
            tree(root, &code[at + root.len()..], &mut found);
        }
    }
    found
}

/// Reads what follows `before`: a path or a group of them. Answers with what is behind it.
fn tree<'a>(before: &str, rest: &'a str, found: &mut Vec<String>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut rest) = rest.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            if let Some(behind) = rest.strip_prefix('}') {
                return behind;
            }
            let behind = tree(before, rest, found);
            // `*`, or the end.
            let stuck = usize::from(behind.len() == rest.len());
            match behind.get(stuck..) {
                Some(behind) if !behind.is_empty() => rest = behind,
                _ => return "",
            }
        }
    }
    let name = first_name(rest);
    let behind = &rest[name.len()..];
    if let Some(deeper) = behind.strip_prefix("::") {
        return tree(&format!("{before}{name}::"), deeper, found);
    }
    if !name.is_empty() {
        found.push(format!("{before}{name}"));
    }
    match behind.trim_start().strip_prefix("as ") {
        Some(alias) => &alias[first_name(alias).len()..],
        None => behind,
    }
}

/// The first names after each `prefix` (`crate::`), also of `crate::{a::b, c}`.
fn named_after(code: &str, prefix: &str) -> BTreeSet<String> {
    paths(code, prefix)
        .iter()
        .map(|path| first_name(&path[prefix.len()..]))
        .collect()
}

fn first_name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The module of the first level that a file belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root()).expect("it lies there");
    let first = inside
        .iter()
        .next()
        .expect("it has a name")
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// What stands under `#[cfg(test)]`, at the end of a file, may look anywhere and be as long as it
/// needs.
fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default()
}

fn is_test(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|name| name.to_string_lossy().ends_with("tests"))
        || path.iter().any(|part| part == "tests")
}

#[test]
fn nobody_uses_what_stands_beside_or_above() {
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        let module = module_of(&path);
        if ["client", "domain"].contains(&module.as_str()) || is_test(&path) {
            continue;
        }
        let Some(allowed) = may_use(&module) else {
            continue;
        };
        let code = code(&path);
        for used in named_after(without_tests(&code), "crate::")
            .into_iter()
            .filter(|used| *used != module)
        {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_domain_does_no_io_and_reads_no_clock() {
    let outside = ["time", "net", "fs", "thread", "process", "io", "env", "os"];
    let mut wrong = Vec::new();
    for path in sources(&root().join("domain")) {
        // An address is data; what sends to it is not for the domain.
        let code = code(&path).replace("core::net::SocketAddr", "SocketAddr");
        for prefix in ["std::", "core::"] {
            for used in named_after(&code, prefix) {
                if outside.contains(&used.as_str()) && !is_test(&path) {
                    wrong.push(format!("{} uses {prefix}{used}", path.display()));
                }
            }
        }
        for banned in [
            "tokio",
            "Instant::now",
            "SystemTime",
            "Utc::now",
            "Local::now",
            "now_v7",
            "new_v4",
            "static mut",
            "thread_local!",
        ] {
            if code.contains(banned) {
                wrong.push(format!("{} says {banned}", path.display()));
            }
        }
    }
    let manifest = fs::read_to_string(root().join("domain/Cargo.toml")).expect("it is there");
    for banned in [
        "tokio",
        "sqlx",
        "gstreamer",
        "lapin",
        "aws",
        "reqwest",
        "axum",
        "fastrand",
    ] {
        if manifest.contains(banned) {
            wrong.push(format!("domain/Cargo.toml depends on {banned}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The program's, the tests' and the benches'.
fn all_sources() -> Vec<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| sources(&package.join(folder)))
        .collect();
    assert!(files.len() > 600, "{} files were found", files.len());
    files
}

#[test]
fn a_file_has_one_job() {
    let long: Vec<_> = all_sources()
        .into_iter()
        .map(|path| (fs::read_to_string(&path).expect("it is text"), path))
        .map(|(text, path)| (text.lines().count(), path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// `x/mod.rs`, never `x.rs` beside `x/`: so all files of a module stand in its folder.
#[test]
fn a_module_with_files_of_its_own_is_a_folder_with_a_mod_rs() {
    let doubled: Vec<_> = all_sources()
        .iter()
        .map(|path| path.with_extension(""))
        .filter(|folder| folder.is_dir())
        .map(|folder| format!("{}.rs stands beside its folder", folder.display()))
        .collect();
    assert!(doubled.is_empty(), "{}", doubled.join("\n"));
}

/// Ids of meeting, job and stream come with the spans at the roots of tasks, so that no line lacks
/// them and no line says them twice.
#[test]
fn log_lines_leave_ids_to_the_spans() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&root()) {
        if module_of(&path) == "client" || is_test(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("it is text");
        let text = without_tests(&text);
        for (at, _) in text.match_indices("!(") {
            let name: String = text[..at]
                .chars()
                .rev()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            if !["ecart", "gubed", "ofni", "nraw", "rorre"].contains(&name.as_str()) {
                continue;
            }
            seen += 1;
            // Fields come before the message.
            let fields = text[at + 2..].split('"').next().unwrap_or_default();
            for field in ["meeting", "job", "stream", "epoch"] {
                let is_named = fields
                    .split(',')
                    .map(|field| field.split('=').next().unwrap_or_default().trim())
                    .any(|named| named.trim_start_matches(['%', '?']) == field);
                if is_named {
                    let line = text[..at].lines().count();
                    wrong.push(format!("{}:{line} logs {field}", path.display()));
                }
            }
        }
    }
    assert!(seen > 80, "{seen} lines were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Who moves a type moves its users: it has one path.
#[test]
fn the_domain_has_one_path_to_each_type() {
    let wrong: Vec<_> = sources(&root().join("domain"))
        .into_iter()
        .filter(|path| !is_test(path) && code(path).contains("pub use crate::"))
        .map(|path| format!("{} re-exports", path.display()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where a clock is read: everything else is told the time.
#[test]
fn wall_time_is_read_in_one_place() {
    let readers: Vec<_> = sources(&root())
        .into_iter()
        .filter(|path| {
            !["client", "clock", "doctor"].contains(&module_of(path).as_str()) && !is_test(path)
        })
        .filter(|path| {
            let code = code(path);
            let code = without_tests(&code);
            code.contains("Utc::now")
                || code.contains("SystemTime::now")
                || code.contains("Local::now")
        })
        .map(|path| path.display().to_string())
        .collect();
    assert!(readers.is_empty(), "{}", readers.join("\n"));
}

#[test]
fn no_sibling_is_overlooked() {
    assert_eq!(
        named_after(
            "use crate::{a::{x, y}, b::c, d}; crate::e::f(); my_crate::g; use crate :: h;",
            "crate::"
        ),
        ["a", "b", "d", "e"].map(str::to_owned).into(),
    );
}

/// Frozen or to be replaced: each has one file that the others go through.
#[test]
fn a_dependency_that_may_go_is_used_in_one_file() {
    let homes = [
        ("rtcp::packet", "ingest/rtcp.rs"),
        ("rtcp::receiver_report", "ingest/rtcp.rs"),
        ("rtcp::reception_report", "ingest/rtcp.rs"),
        ("rtcp::sender_report", "ingest/rtcp.rs"),
        ("rtp::header", "ingest/srtp/mod.rs"),
        ("webrtc_srtp::", "ingest/srtp/mod.rs"),
        ("webrtc_util::", "ingest/rtcp.rs"),
    ];
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        if module_of(&path) == "client" || is_test(&path) {
            continue;
        }
        let code = code(&path);
        for (named, home) in homes {
            if code.contains(named) && !path.ends_with(home) {
                wrong.push(format!("{} says {named}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
