//! The rows of one user's settings.

use sqlx::Connection as _;

use crate::database::{Database, each_connection, row, statement};

row! {
    /// One cell that the user has changed, and whether it is on.
    #[derive(serde::Serialize)]
    pub(crate) struct Row {
        pub(crate) category: String,
        pub(crate) channel: String,
        pub(crate) enabled: bool,
    }
}

statement! {
    READ = "\
        select category, channel, enabled from {campanile}user_notification_preferences where user_id = $1 and org_id = ''"
}

statement! {
    UPSERT = "\
        insert into {campanile}user_notification_preferences (user_id, category, channel, enabled, updated_at) \
        select $1, cell.value ->> 'category', cell.value ->> 'channel', {flag(cell.value ->> 'enabled')}, {now} \
        from {rows($2)} as cell where true \
        on conflict (user_id, org_id, category, channel) \
        do update set enabled = excluded.enabled, updated_at = excluded.updated_at"
}

statement! {
    /// Serializes the changes of one user's settings on Postgres; SQLite has one writer anyway. The lock ends with the
    /// transaction.
    on Postgres; TURN = "select pg_advisory_xact_lock(hashtextextended('campanile.preferences ' || $1, 0))::text"
}

/// Every cell that the user has changed.
pub(crate) async fn read(database: &Database, user: &str) -> Result<Vec<Row>, sqlx::Error> {
    each_connection!(database, |connection| {
        let rows = sqlx::query_as(READ.on(database)).bind(user);
        rows.fetch_all(connection).await
    })
}

/// Changes cells.
pub(crate) async fn set(database: &Database, user: &str, cells: &[Row]) -> Result<(), sqlx::Error> {
    let cells = serde_json::json!(cells).to_string();
    each_connection!(database, |connection| {
        let upsert = sqlx::query(UPSERT.on(database)).bind(user).bind(cells);
        upsert.execute(connection).await.map(drop)
    })
}

/// Changes cells if the current rows allow it, and returns the rows afterwards. In one transaction.
pub(crate) async fn set_if<E>(
    database: &Database,
    user: &str,
    cells: &[Row],
    may: impl Fn(Vec<Row>) -> Result<(), E>,
) -> Result<Result<Vec<Row>, E>, sqlx::Error> {
    let cells = serde_json::json!(cells).to_string();
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let mut transaction = connection.begin_with(database.begin()).await?;
        if database.kind() == "Postgres" {
            let turn = sqlx::query(TURN.on(database)).bind(user);
            turn.execute(&mut *transaction).await?;
        }
        let before = sqlx::query_as(READ.on(database)).bind(user);
        if let Err(refused) = may(before.fetch_all(&mut *transaction).await?) {
            return Ok(Err(refused));
        }
        let upsert = sqlx::query(UPSERT.on(database)).bind(user).bind(cells);
        upsert.execute(&mut *transaction).await?;
        let after = sqlx::query_as(READ.on(database)).bind(user);
        let after = after.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Ok(after))
    })
}
