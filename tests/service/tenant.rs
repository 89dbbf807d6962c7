//! Row-level security is the second lock. The first: every statement on rows that are a tenant's
//! says whose it means, by the tenant, or by the meeting that was found to be the tenant's.

use std::{collections::BTreeSet, fs, path::Path};

/// Statements of all tenants' rows: of workers and operators, whose ids come from the database,
/// never from a request.
const OF_EVERYBODY: &[(&str, &str)] = &[
    ("store/backlog.rs", "jobs"),
    ("store/deletion.rs", "deletions"),
    ("store/deletion.rs", "spools"),
    ("store/deletion.rs", "jobs"),
    ("store/erasure.rs", "erasures"),
    ("store/hold.rs", "holds"),
    ("store/job.rs", "jobs"),
    ("store/lease.rs", "capture_epochs"),
    ("store/lease.rs", "jobs"),
    ("store/key.rs", "api_keys"),
    ("store/ledger.rs", "ledger_heads"),
    ("store/port.rs", "rtp_ports"),
    ("store/port.rs", "rtp_sources"),
    ("store/recording.rs", "recordings"),
    ("store/event.rs", "meetings"),
    ("store/tier.rs", "meetings"),
    ("store/tier.rs", "jobs"),
    ("store/tier.rs", "tenant_settings"),
    ("store/restore.rs", "recordings"),
    ("store/event.rs", "meeting_heads"),
    ("store/retention.rs", "holds"),
    ("store/retention.rs", "meetings"),
    ("store/retention.rs", "tenant_settings"),
    ("store/spool.rs", "jobs"),
    ("store/spool.rs", "spools"),
    ("store/unknown.rs", "meetings"),
    ("store/unknown.rs", "objects"),
    ("store/unknown.rs", "recordings"),
    ("store/unknown.rs", "recording_segments"),
    ("store/unknown.rs", "spools"),
    // What tests ask without a tenant, to see that row-level security answers for it.
    ("store/user.rs", "users"),
    ("store/mod.rs", "idempotency_keys"),
    ("store/mod.rs", "session_codes"),
    ("store/mod.rs", "password_tries"),
];

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The literals of some code, in their order, each with where it begins. Raw ones are taken as they
/// stand.
fn literals(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut chars = code.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '/' if code[at..].starts_with("//") => {
                while chars.next().is_some_and(|(_, char)| char != '\n') {}
            }
            // A character may be a quotation mark.
            '\'' if code[at..].starts_with("'\"'") => drop(chars.nth(1)),
            '"' => {
                let mut text = String::new();
                while let Some((_, char)) = chars.next().filter(|(_, char)| *char != '"') {
                    text.push(if char == '\\' {
                        chars.next().map_or(' ', |(_, char)| char)
                    } else {
                        char
                    });
                }
                found.push((at, text));
            }
            _ => {}
        }
    }
    found
}

/// The SQL of a file, what its macros put together put together.
fn statements(code: &str) -> Vec<String> {
    let mut code = code
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut macros = Vec::new();
    while let Some(at) = code.find("macro_rules! ") {
        let end = at + code[at..].find("\n}\n").expect("it ends");
        let body = code[at..end].to_owned();
        let name = body["macro_rules! ".len()..]
            .split(' ')
            .next()
            .expect("it has a name")
            .to_owned();
        let text: String = literals(&body).into_iter().map(|(_, text)| text).collect();
        macros.push((name, text));
        code.replace_range(at..end, "");
    }
    let mut all = Vec::new();
    for (at, text) in literals(&code) {
        let before = code[..at].trim_end();
        let called = macros
            .iter()
            .find(|(name, _)| before.ends_with(&format!("{name}!(")));
        all.push(called.map_or(text.clone(), |(_, base)| format!("{base}{text}")));
    }
    all.into_iter()
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|text| {
            ["select ", "insert ", "update ", "delete ", "with "]
                .iter()
                .any(|verb| text.starts_with(verb))
        })
        .collect()
}

/// The tables whose rows are a tenant's, as the migrations make them.
fn tables() -> BTreeSet<String> {
    let migrations = fs::read_dir("migrations").expect("it is there");
    let all = migrations
        .map(|file| fs::read_to_string(file.expect("it can be read").path()).expect("it is text"));
    all.flat_map(|sql| {
        let made = sql
            .split("create table ")
            .skip(1)
            .filter_map(|made| made.split("\n)").next());
        made.filter(|made| made.contains("tenant_id"))
            .map(|made| made.split([' ', '(']).next().expect("a name").to_owned())
            .collect::<Vec<_>>()
    })
    .collect()
}

fn touched<'a>(statement: &str, tables: &'a BTreeSet<String>) -> Vec<&'a str> {
    let words: Vec<&str> = statement
        .split([' ', ',', '(', ')'])
        .filter(|word| !word.is_empty())
        .collect();
    let after = words
        .windows(2)
        .filter(|pair| ["from", "join", "update", "into"].contains(&pair[0]));
    after
        .filter_map(|pair| tables.get(pair[1]))
        .map(String::as_str)
        .collect()
}

fn names_whose(statement: &str, table: &str) -> bool {
    let of = |column: &str| {
        ["= $", "= any($", "= any ($"]
            .iter()
            .any(|how| statement.contains(&format!("{column} {how}")))
            || [
                "h",
                "r",
                "m",
                "s",
                "j",
                "c",
                "p",
                "meetings",
                "head",
                "meeting_heads",
            ]
            .iter()
            .any(|alias| statement.contains(&format!("{column} = {alias}.{column}")))
    };
    let inserts = statement.contains("insert into") && statement.contains("tenant_id");
    // A meeting by its own id; whoever holds the secret of a link or code is told whose it is.
    let by_id = table == "meetings" && statement.contains("where id = $1");
    let by_secret =
        ["links", "session_codes"].contains(&table) && statement.contains("where hash = $1");
    of("tenant_id") || of("meeting_id") || inserts || by_id || by_secret
}

#[test]
fn every_statement_says_whose_rows_it_means() {
    let (tables, root) = (tables(), Path::new("src"));
    assert!(
        tables.len() > 20 && tables.contains("consent_log"),
        "{tables:?}"
    );
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in sources(root) {
        let file = path
            .strip_prefix(root)
            .expect("it is below")
            .to_string_lossy()
            .into_owned();
        let code = fs::read_to_string(&path).expect("it is text");
        for statement in statements(&code) {
            for table in touched(&statement, &tables) {
                seen += 1;
                if !names_whose(&statement, table)
                    && !OF_EVERYBODY.contains(&(file.as_str(), table))
                {
                    wrong.push(format!("{file}, {table}: {statement}"));
                }
            }
        }
    }
    assert!(seen > 100, "{seen} uses of tables");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What callers list and fetch by ids of their own names the tenant itself.
#[test]
fn what_callers_ask_for_by_id_names_the_tenant() {
    use hansard::store::{meeting, recording_list};
    for statement in [
        meeting::LIST_OF_HOST,
        meeting::LIST_OF_TENANT,
        recording_list::GET,
    ] {
        assert!(statement.contains("tenant_id = $"), "{statement}");
    }
}

#[test]
fn a_statement_that_names_nobody_is_seen() {
    let tables = tables();
    let code = "const A: &str = \"select id\n  from meetings where host_id = $1\"; // \"select\n\
                macro_rules! some {\n    ($w:literal) => {\n        concat!(\"select r.id from recordings r where \", $w)\n    };\n}\n\
                const B: &str = some!(\"r.id = $1\"); const C: &str = some!(\"r.id = $1 and r.tenant_id = $2\");";
    let found = statements(code);
    let named: Vec<bool> = found
        .iter()
        .map(|one| names_whose(one, touched(one, &tables)[0]))
        .collect();
    assert_eq!(named, [false, false, true], "{found:?}");
}
