//! The **dialects**: what the placeholders of [`Database::sql`](crate::database::Database::sql) mean on each database.

use crate::state;

type Dialect = [(&'static str, &'static str, &'static str); 20];

/// Placeholder, what stands before its argument, what stands after.
#[cfg(feature = "postgres")]
pub(crate) const POSTGRES: Dialect = [
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
        "id_earlier",
        "(lpad(to_hex((extract(epoch from clock_timestamp() - (",
        ")::bigint * interval '1 microsecond') * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid",
    ),
];

/// Placeholder, what stands before its argument, what stands after.
#[cfg(feature = "sqlite")]
pub(crate) const SQLITE: Dialect = [
    ("campanile", "", ""),
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
    (
        "id_earlier",
        "(select substr(millis, 1, 8) || '-' || substr(millis, 9) from (select printf('%012x', \
            (cast(unixepoch('subsec') * 1000000 as integer) - (",
        ")) / 1000) as millis))",
    ),
];

/// Replaces the placeholders. A brace that opens no known placeholder is a mistake in our own statement.
pub(crate) fn translate(statement: &str, dialect: &Dialect) -> String {
    let mut out = String::with_capacity(statement.len() + 64);
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once('{') {
        let (placeholder, tail) = after
            .split_once('}')
            .expect("every placeholder of a statement is closed");
        let (name, argument) = placeholder
            .strip_suffix(')')
            .and_then(|call| call.split_once('('))
            .unwrap_or((placeholder, ""));
        out.push_str(before);
        if let Some(words) = state::placeholder(name) {
            out.push_str(&words);
        } else {
            let (_, open, close) = dialect
                .iter()
                .find(|(known, ..)| *known == name)
                .expect("every placeholder of a statement is known");
            for piece in [*open, argument, *close] {
                out.push_str(piece);
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    fn one_statement_reads_well_in_both_dialects() {
        let statement = "select {micros(created_at)} from {campanile}notification_dedup where id = {uuid($1)} and user_id in (select {texts($2)})";
        assert_eq!(
            translate(statement, &POSTGRES),
            "select (extract(epoch from created_at) * 1000000)::bigint from campanile.notification_dedup \
             where id = ($1)::uuid and user_id in (select jsonb_array_elements_text($2::jsonb))"
        );
        assert_eq!(
            translate(statement, &SQLITE),
            "select created_at from notification_dedup where id = ($1) and user_id in (select value from json_each($2))"
        );
    }
}
