//! What **erases** a person from the tables that the migrations make for channels. It stands beside the tables, so that it holds in
//! every binary, also where the channel is not linked.

/// Statements in the dialect of `campanile::Database::sql`: `$1` is the user, and where it occurs `$2` a JSON array of the
/// addresses that are the user's, in every form in which a table may hold one.
pub const ERASE: &[&str] = &[
    // Each by its own index: there is none that holds both.
    "delete from {campanile}notifications where user_id = $1 and archived_at is null",
    "delete from {campanile}notifications where user_id = $1 and archived_at is not null",
    "delete from {campanile}email_suppressions where address in (select {texts($2)})",
    "delete from {campanile}email_suspects where address in (select {texts($2)})",
];
