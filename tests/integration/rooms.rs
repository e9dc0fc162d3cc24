//! The rooms of core: each imports only what the table in ARCHITECTURE.md allows, and some have no circular imports between their
//! files; nor have the inbox and the web crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use campanile::operate::DeliveryState;
use proc_macro2::{TokenStream, TokenTree};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The words in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> + '_ {
    let words = cell.split('`').skip(1).step_by(2);
    words.map(|word| word.trim_end_matches('/').to_owned())
}

/// Each room with what it may import; `None` is every room.
fn table() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("### The rooms of core").nth(1).unwrap();
    let table = table.split("### The other crates").next().unwrap();
    let mut rooms = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        let may = (cells[3].trim() != "every room").then(|| quoted(cells[3]).collect());
        for room in quoted(cells[1]) {
            assert!(rooms.insert(room, may.clone()).is_none(), "twice: {row}");
        }
    }
    rooms
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The lines of a source without its unit tests and its comments.
fn code(source: &Path) -> String {
    let text = std::fs::read_to_string(source).unwrap();
    let text = text.split("#[cfg(test)]\nmod").next().unwrap();
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The rooms that a source imports by `crate::room`, without its unit tests and the links in its documentation.
fn imports(source: &Path) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for line in code(source).lines() {
        let line = line.replace("$crate::", "");
        for path in line.split("crate::").skip(1) {
            let end = path.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            rooms.insert(path[..end.unwrap_or(path.len())].to_owned());
        }
    }
    rooms
}

#[test]
fn a_room_of_core_imports_only_what_the_map_allows() {
    let rooms = table();
    let core = root().join("core/src");
    let (mut found, mut wrong, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    sources(&core, &mut found);
    for source in &found {
        let place = source.strip_prefix(&core).unwrap();
        let first = place.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs").to_owned();
        let Some(may) = rooms.get(&room) else {
            wrong.push(format!("{} is in no room of the map", place.display()));
            continue;
        };
        if let Some(may) = may {
            let others = imports(source).into_iter().filter(|import| {
                // A macro does not belong to a room.
                *import != room && rooms.contains_key(import) && !may.contains(import)
            });
            wrong.extend(others.map(|import| format!("{} imports `{import}`", place.display())));
        }
        seen.insert(room);
    }
    let empty: Vec<_> = rooms.keys().filter(|room| !seen.contains(*room)).collect();
    assert!(empty.is_empty(), "on the map, but without files: {empty:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(found.len() > 60, "{}", found.len());
}

#[test]
fn the_rooms_of_the_map_have_no_circular_imports() {
    // A room that imported one that imports it would be a circular import.
    let rooms = table();
    let reaches = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from.to_owned()];
        while let Some(room) = open.pop() {
            let imports = rooms[&room].iter().flatten();
            open.extend(
                imports
                    .filter(|room| reached.insert((*room).clone()))
                    .cloned(),
            );
        }
        reached
    };
    for (room, may) in &rooms {
        if may.is_some() {
            assert!(!reaches(room).contains(room), "`{room}` reaches itself");
        }
    }
}

/// The rooms whose files import each other in one direction only, as their folders in `core/src`.
const STRAIGHT: [&str; 3] = ["deliver", "dispatch", "observe"];

/// The file of a room to which a source belongs; a folder inside a room counts as one file.
fn file_in(room: &Path, source: &Path) -> String {
    let first = source.strip_prefix(room).unwrap().iter().next();
    let first = first.unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The first segments of the paths that begin with `prefix`, also of those in one pair of braces.
fn segments<'t>(text: &'t str, prefix: &'t str) -> impl Iterator<Item = String> + 't {
    text.split(prefix).skip(1).flat_map(|rest| {
        let braces = rest
            .strip_prefix('{')
            .and_then(|list| list.split('}').next());
        let paths: Vec<&str> = braces.map_or_else(|| vec![rest], |list| list.split(',').collect());
        let segments = paths.into_iter().map(|path| {
            let word = path.trim_start();
            let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            word[..end.unwrap_or(word.len())].to_owned()
        });
        segments.collect::<Vec<_>>()
    })
}

/// Each file of a room with the files that it imports. Items of `mod.rs` count as the file `mod`.
fn imports_within(room: &str) -> BTreeMap<String, BTreeSet<String>> {
    let folder = root().join("core/src").join(room);
    let mut found = Vec::new();
    sources(&folder, &mut found);
    let files: BTreeSet<String> = found.iter().map(|file| file_in(&folder, file)).collect();
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let prefix = format!("crate::{room}::");
    for source in &found {
        let (file, text) = (file_in(&folder, source), code(source));
        let is_at_the_top = source.parent() == Some(&folder);
        let near = if file == "mod" { "self::" } else { "super::" };
        let near = segments(&text, near).filter(|_| is_at_the_top);
        let all = near.chain(segments(&text, &prefix));
        let named = all.map(|word| files.get(&word).cloned().unwrap_or("mod".to_owned()));
        let others: Vec<_> = named.filter(|import| *import != file).collect();
        imports.entry(file).or_default().extend(others);
    }
    imports
}

#[test]
fn the_files_of_a_straight_room_have_no_circular_imports() {
    for room in STRAIGHT {
        let mut open = imports_within(room);
        let imports: usize = open.values().map(BTreeSet::len).sum();
        assert!(imports > 0 || open.len() < 4, "`{room}` is read");
        // Files that import no remaining file are removed, until there are no more such files.
        loop {
            let names: BTreeSet<String> = open.keys().cloned().collect();
            open.retain(|_, imports| imports.iter().any(|import| names.contains(import)));
            if open.len() == names.len() {
                break;
            }
        }
        assert!(open.is_empty(), "a circle in `{room}`: {open:#?}");
    }
}

#[test]
fn only_the_store_and_the_dialects_contain_sql() {
    let core = root().join("core/src");
    let mut found = Vec::new();
    sources(&core, &mut found);
    let mut elsewhere = Vec::new();
    for source in &found {
        let place = source.strip_prefix(&core).unwrap();
        let text = code(source);
        let has_sql = text.contains("sqlx::query") || text.contains("{campanile}");
        assert!(has_sql || !place.ends_with("store/claim.rs"), "it is read");
        if has_sql && !place.starts_with("store") && !place.starts_with("database") {
            elsewhere.push(place.to_owned());
        }
    }
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

/// What is between this parenthesis, which was opened, and the one that closes it.
fn enclosed(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text[..at].trim();
        }
    }
    text
}

/// Statements that control transactions name no table.
const CONTROL: [&str; 4] = ["\"savepoint ", "\"rollback", "\"release ", "\"begin\""];

#[test]
fn every_statement_is_on_the_list() {
    let mut found = Vec::new();
    for folder in [
        "core/src",
        "channels/inbox/src",
        "channels/email/src",
        "channels/push/src",
    ] {
        sources(&root().join(folder), &mut found);
    }
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for source in found {
        let text = code(&source);
        let place = source.strip_prefix(root()).unwrap().display().to_string();
        let composes = place.contains("core/src/database/")
            || place.ends_with("store/postgres.rs")
            || place.ends_with("store/sqlite.rs");
        for way in [".sql(", "AssertSqlSafe(", "Statement::declare(", "raw_sql("] {
            if text.contains(way) && !composes {
                wrong.push(format!("{place}: `{way}..)`"));
            }
        }
        // By its full path, so that it is found here; and no text directly on the connection.
        for word in ["query(", "query_as(", "query_scalar("] {
            let is_bare = |at: usize| {
                let before = text[..at].chars().next_back();
                !text[..at].ends_with("sqlx::")
                    && before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.')
            };
            if text.match_indices(word).any(|(at, _)| is_bare(at)) {
                wrong.push(format!("{place}: `{word}..)` without `sqlx::`"));
            }
        }
        for word in [
            "execute(\"",
            "fetch_all(\"",
            "fetch_one(\"",
            "fetch_optional(\"",
        ] {
            if text.contains(word) {
                wrong.push(format!("{place}: `.{word}..)`"));
            }
        }
        for call in text.split("sqlx::query").skip(1) {
            let (_, argument) = call.split_once('(').unwrap();
            let argument = enclosed(argument);
            let is_listed = argument.contains(".on(")
                || argument.contains(".on_postgres()")
                || argument.contains(".on_sqlite()")
                || argument == "statement.clone()"
                || CONTROL.iter().any(|word| argument.starts_with(word));
            if !is_listed {
                wrong.push(format!("{place}: `{argument}`"));
            }
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");
    assert!(
        wrong.is_empty(),
        "declare it by `statement!`, and ask it by `.on(database)`: {wrong:#?}"
    );
}

#[test]
fn only_their_enum_contains_the_names_of_states() {
    let mut found = Vec::new();
    for folder in ["core/src", "channels", "cli", "web", "inspector/src"] {
        sources(&root().join(folder), &mut found);
    }
    found.retain(|source| {
        source
            .extension()
            .is_some_and(|extension| extension == "rs")
    });
    assert!(found.len() > 150, "{}", found.len());
    let words = DeliveryState::ALL.iter().map(|state| state.as_str());
    let words: Vec<_> = words.map(|word| format!("'{word}'")).collect();
    for source in found {
        let text = code(&source);
        for word in &words {
            assert!(
                !text.contains(word),
                "{}: {word}: write `{{state.<word>}}` or `{{states.<set>}}` in a statement",
                source.display()
            );
        }
    }
}

/// The path of the module that a source is, by its folder.
fn module(source: &Path, root: &Path) -> Vec<String> {
    let place = source.strip_prefix(root).unwrap().with_extension("");
    let mut path: Vec<_> = place
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    if path
        .last()
        .is_some_and(|name| name == "mod" || name == "lib")
    {
        path.pop();
    }
    path
}

/// The paths after each `crate::`; of `crate::a::{b, c::D}` both.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let words = |path: &str| -> Vec<String> {
        path.split("::")
            .map(|word| word.trim().to_owned())
            .collect()
    };
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        let end = after.find(|c| !is_path(c)).unwrap_or(after.len());
        let (path, rest) = after.split_at(end);
        let group = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        match group {
            Some((group, _)) => found.extend(
                group
                    .split(',')
                    .map(|one| words(&format!("{path}{}", one.trim()))),
            ),
            None => found.push(words(path)),
        }
    }
    found
}

/// Each file of a crate with the files that it imports from. A module declaration counts as an import.
fn files(root: &Path) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let mut found = Vec::new();
    sources(root, &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let modules: BTreeSet<_> = found.iter().map(|source| module(source, root)).collect();
    let mut files = BTreeMap::new();
    for source in &found {
        let (module, code) = (module(source, root), code(source));
        assert!(
            !code.contains("super::"),
            "{}: write `crate::`",
            source.display()
        );
        let mut from: BTreeSet<_> = paths(&code)
            .into_iter()
            .map(|mut path| {
                while !modules.contains(&path) {
                    path.pop();
                }
                path
            })
            .collect();
        for line in code
            .lines()
            .filter_map(|line| line.trim().strip_suffix(';'))
        {
            if let Some(child) = line.split("mod ").nth(1) {
                from.insert([module.as_slice(), &[child.to_owned()]].concat());
            }
        }
        from.remove(&module);
        files.insert(module, from);
    }
    files
}

#[test]
fn the_inbox_and_the_web_crate_have_no_circular_imports() {
    for folder in ["channels/inbox/src", "web/src"] {
        let files = files(&root().join(folder));
        assert!(files.len() > 10 && files[&vec![]].len() > 5, "{files:?}");
        let mut rest = files;
        // A file that imports no remaining file is not part of a circle.
        loop {
            let left: BTreeSet<_> = rest.keys().cloned().collect();
            rest.retain(|_, from| from.iter().any(|file| left.contains(file)));
            if rest.len() == left.len() {
                break;
            }
        }
        assert!(
            rest.is_empty(),
            "{folder}: among these is a circle: {rest:#?}"
        );
    }
}

/// Words for limits that should be `MAX_` and `MIN_`.
const SUPERLATIVES: [&str; 7] = [
    "LONGEST_",
    "LARGEST_",
    "MOST_",
    "DEEPEST_",
    "LEAST_",
    "SHORTEST_",
    "SMALLEST_",
];

#[test]
fn limits_are_named_max_or_min() {
    let mut found = Vec::new();
    for folder in [
        "core",
        "channels",
        "cli",
        "web",
        "inspector",
        "registry-macros",
        "migrations",
        "tests",
    ] {
        sources(&root().join(folder), &mut found);
    }
    let is_code = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("rs" | "js" | "ts")) && !path.ends_with("integration/rooms.rs")
    };
    found.retain(is_code);
    assert!(found.len() > 200, "{}", found.len());
    for source in found {
        let Ok(text) = std::fs::read_to_string(&source) else {
            continue;
        };
        let starts_a_word = |at: usize| {
            let before = text[..at].chars().next_back();
            before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
        };
        for word in SUPERLATIVES {
            let named = text.match_indices(word).any(|(at, _)| starts_a_word(at));
            assert!(
                !named,
                "{}: `{word}`: write `MAX_` or `MIN_`",
                source.display()
            );
        }
    }
}

#[test]
fn no_identifier_is_called_its() {
    let mut found = Vec::new();
    for folder in [
        "core",
        "channels",
        "cli",
        "web",
        "inspector",
        "migrations",
        "registry-macros",
        "tests",
    ] {
        sources(&root().join(folder), &mut found);
    }
    let is_rust = |source: &PathBuf| {
        source
            .extension()
            .is_some_and(|extension| extension == "rs")
    };
    found.retain(is_rust);
    assert!(found.len() > 300, "{}", found.len());
    for source in found {
        let text = std::fs::read_to_string(&source).unwrap();
        let tokens: TokenStream = text.parse().unwrap();
        assert!(
            !is_called(tokens),
            "{}: name it by its noun",
            source.display()
        );
    }
}

/// Whether an identifier has the name, including one in the braces of a format string.
fn is_called(tokens: TokenStream) -> bool {
    let name = ["i", "ts"].concat();
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => is_called(group.stream()),
        TokenTree::Ident(word) => word == name,
        TokenTree::Literal(text) => {
            let text = text.to_string();
            text.contains(&format!("{{{name}}}")) || text.contains(&format!("{{{name}:"))
        }
        TokenTree::Punct(_) => false,
    })
}
