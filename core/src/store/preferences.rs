//! The rows of one user's settings.

use sqlx::Connection as _;

use crate::database::{Database, each_connection};

/// One cell that the user has switched: category, channel, and whether it is on.
pub(crate) type Row = (String, String, bool);

const READ: &str = "\
    select category, channel, enabled from {campanile}user_notification_preferences where user_id = $1";

const UPSERT: &str = "\
    insert into {campanile}user_notification_preferences (user_id, category, channel, enabled, updated_at) \
    select $1, cell.value ->> 0, cell.value ->> 1, {flag(cell.value ->> 2)}, {now} \
    from {rows($2)} as cell where true \
    on conflict (user_id, category, channel) \
    do update set enabled = excluded.enabled, updated_at = excluded.updated_at";

/// One change of a user's settings at a time, on Postgres; SQLite has one writer anyway. It ends with the transaction.
const TURN: &str =
    "select pg_advisory_xact_lock(hashtextextended('campanile.preferences ' || $1, 0))::text";

/// Every cell that the user has switched.
pub(crate) async fn read(database: &Database, user: &str) -> Result<Vec<Row>, sqlx::Error> {
    each_connection!(database, |connection| {
        let rows = sqlx::query_as(database.sql(READ)).bind(user);
        rows.fetch_all(connection).await
    })
}

/// Switches cells, `[category, channel, enabled]` each.
pub(crate) async fn set(database: &Database, user: &str, cells: &str) -> Result<(), sqlx::Error> {
    each_connection!(database, |connection| {
        let upsert = sqlx::query(database.sql(UPSERT)).bind(user).bind(cells);
        upsert.execute(connection).await.map(drop)
    })
}

/// Switches cells if the rows as they are then let it, and gives them as they are afterwards. In one transaction.
pub(crate) async fn set_if<E>(
    database: &Database,
    user: &str,
    cells: &str,
    may: impl Fn(Vec<Row>) -> Result<(), E>,
) -> Result<Result<Vec<Row>, E>, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let mut transaction = connection.begin_with(database.begin()).await?;
        if database.kind() == "Postgres" {
            let turn = sqlx::query(TURN).bind(user);
            turn.execute(&mut *transaction).await?;
        }
        let before = sqlx::query_as(database.sql(READ)).bind(user);
        if let Err(refused) = may(before.fetch_all(&mut *transaction).await?) {
            return Ok(Err(refused));
        }
        let upsert = sqlx::query(database.sql(UPSERT)).bind(user).bind(cells);
        upsert.execute(&mut *transaction).await?;
        let after = sqlx::query_as(database.sql(READ)).bind(user);
        let after = after.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Ok(after))
    })
}
