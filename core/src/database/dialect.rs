//! The **dialects**: what the placeholders of [`Database::sql`](crate::database::Database::sql) mean on each database.

use crate::state;

/// The SQL that a database understands.
pub(crate) struct Dialect {
    /// The placeholder whose argument is kept on this database and dropped on the other.
    own: &'static str,
    /// Placeholder, the text before its argument, the text after it.
    words: [(&'static str, &'static str, &'static str); 20],
}

#[cfg(feature = "postgres")]
pub(crate) const POSTGRES: Dialect = Dialect {
    own: "postgres",
    words: [
        ("campanile", "campanile.", ""),
        ("now", "clock_timestamp()", ""),
        (
            "now_micros",
            "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
            "",
        ),
        (
            "later",
            "clock_timestamp() + (",
            ")::bigint * interval '1 microsecond'",
        ),
        (
            "earlier",
            "clock_timestamp() - (",
            ")::bigint * interval '1 microsecond'",
        ),
        ("after", "(", ") + interval '1 microsecond'"),
        ("micros", "(extract(epoch from ", ") * 1000000)::bigint"),
        ("uuid", "(", ")::uuid"),
        ("text", "(", ")::text"),
        ("int", "(", ")::bigint"),
        ("flag", "(", ")::boolean"),
        ("texts", "jsonb_array_elements_text(", "::jsonb)"),
        ("uuids", "jsonb_array_elements_text(", "::jsonb)::uuid"),
        ("rows", "jsonb_array_elements(", "::jsonb)"),
        ("skip_locked", "for update skip locked", ""),
        ("for_update", "for update", ""),
        ("key_share", "for key share", ""),
        ("json", "(", ")::jsonb"),
        (
            "moment",
            "timestamptz 'epoch' + (",
            ")::bigint * interval '1 microsecond'",
        ),
        (
            "last_delivery",
            "overlay((",
            ")::text placing 'ff' from 35)::uuid",
        ),
    ],
};

#[cfg(feature = "sqlite")]
pub(crate) const SQLITE: Dialect = Dialect {
    own: "sqlite",
    words: [
        ("campanile", "campanile_", ""),
        ("now", "cast(unixepoch('subsec') * 1000000 as integer)", ""),
        (
            "now_micros",
            "cast(unixepoch('subsec') * 1000000 as integer)",
            "",
        ),
        (
            "later",
            "cast(unixepoch('subsec') * 1000000 as integer) + (",
            ")",
        ),
        (
            "earlier",
            "cast(unixepoch('subsec') * 1000000 as integer) - (",
            ")",
        ),
        ("after", "(", ") + 1"),
        ("micros", "", ""),
        ("uuid", "(", ")"),
        ("text", "(", ")"),
        ("int", "(", ")"),
        ("flag", "(", ")"),
        ("texts", "value from json_each(", ")"),
        ("uuids", "value from json_each(", ")"),
        ("rows", "json_each(", ")"),
        ("skip_locked", "", ""),
        ("for_update", "", ""),
        ("key_share", "", ""),
        ("json", "(", ")"),
        ("moment", "(", ")"),
        ("last_delivery", "substr(", ", 1, 34) || 'ff'"),
    ],
};

/// Replaces the placeholders, the statement's own first. A brace that opens no known placeholder is a bug in one of our
/// statements.
pub(crate) fn translate(statement: &str, dialect: &Dialect, pieces: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(statement.len() + 64);
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once('{') {
        let (placeholder, tail) = after
            .split_once('}')
            .expect("every placeholder of a statement is closed");
        out.push_str(before);
        out.push_str(&meaning(placeholder, dialect, pieces));
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn meaning(placeholder: &str, dialect: &Dialect, pieces: &[(&str, &str)]) -> String {
    if let Some((_, piece)) = pieces.iter().find(|(name, _)| *name == placeholder) {
        return translate(piece, dialect, pieces);
    }
    let (name, argument) = placeholder
        .strip_suffix(')')
        .and_then(|call| call.split_once('('))
        .unwrap_or((placeholder, ""));
    if let Some(words) = state::placeholder(name) {
        return words;
    }
    if matches!(name, "postgres" | "sqlite") {
        let is_here = name == dialect.own;
        return if is_here { argument } else { "" }.to_owned();
    }
    let mut words = dialect.words.iter();
    let (_, open, close) = words
        .find(|(known, ..)| *known == name)
        .unwrap_or_else(|| panic!("a statement has the unknown placeholder `{placeholder}`"));
    format!("{open}{argument}{close}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    fn one_statement_is_translated_to_both_dialects() {
        let statement = "select {micros(created_at)} from {campanile}notification_dedup where id = {uuid($1)} and user_id in (select {texts($2)})";
        assert_eq!(
            translate(statement, &POSTGRES, &[]),
            "select (extract(epoch from created_at) * 1000000)::bigint from campanile.notification_dedup \
             where id = ($1)::uuid and user_id in (select jsonb_array_elements_text($2::jsonb))"
        );
        assert_eq!(
            translate(statement, &SQLITE, &[]),
            "select created_at from campanile_notification_dedup where id = ($1) and user_id in (select value from json_each($2))"
        );
    }

    #[test]
    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    fn a_piece_may_contain_other_pieces_and_parts_for_one_database() {
        let pieces = [
            ("rows", "{table} where {part}"),
            ("table", "items{sqlite( indexed by part)}"),
            ("part", "state in {states.waiting}"),
        ];
        let statement = "select 1 from {rows}";
        assert_eq!(
            translate(statement, &POSTGRES, &pieces),
            "select 1 from items where state in ('pending', 'blocked')"
        );
        assert_eq!(
            translate(statement, &SQLITE, &pieces),
            "select 1 from items indexed by part where state in ('pending', 'blocked')"
        );
    }
}
