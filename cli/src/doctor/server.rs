//! The checks that apply only to a database **server**: notifications, poolers, transactions of other sessions.

use campanile::Database;

use super::{Arguments, Finding};

/// The checks, and why they do not apply to a file.
const OF_SERVERS: [(&str, &str); 4] = [
    ("pooler", "not applicable to SQLite: there is no pooler"),
    (
        "listen",
        "not applicable to SQLite: workers poll every second",
    ),
    (
        "transactions",
        "not applicable to SQLite: one writer at a time, and the others wait",
    ),
    (
        "isolation",
        "not applicable to SQLite: there are no isolation levels",
    ),
];

/// The checks of a server, or the reason why there are none.
pub(super) async fn checks(arguments: &Arguments, database: &Database) -> Vec<Finding> {
    #[cfg(feature = "postgres")]
    if let campanile::database::Pool::Postgres(pool) = database.pool() {
        return super::postgres::checks(arguments, pool).await;
    }
    not_made(arguments, database).await
}

#[allow(clippy::unused_async, reason = "the variant with Postgres is async")]
async fn not_made(_: &Arguments, database: &Database) -> Vec<Finding> {
    if database.kind() == "SQLite" {
        let checks = OF_SERVERS.iter();
        return checks
            .map(|(check, why)| Finding::ok(check, *why))
            .collect();
    }
    vec![Finding::warning(
        "server",
        "this binary was built without the checks that only Postgres has",
        "in Cargo.toml: `campanile-cli = { version = \"0.1\", features = [\"postgres\"] }`",
    )]
}
