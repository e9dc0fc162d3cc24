//! The rows of `notification_addresses`.

use sqlx::{Connection as _, Row as _};

use crate::database::{Database, each_connection};

/// An address is newer than every other of its user, whatever the clock says: SQLite's has milliseconds.
const ADD: &str = "\
    insert into {campanile}notification_addresses (user_id, channel, address, created_at) \
    select $1, $2, $3, case when newest >= {now} then {after(newest)} else {now} end \
    from (select max(created_at) as newest from {campanile}notification_addresses \
    where user_id = $1 and channel = $2) as known where true \
    on conflict (user_id, channel, address) do update set created_at = excluded.created_at";

const LOCK: &str = "\
    select address from {campanile}notification_addresses \
    where user_id = $1 and channel = $2 order by address {for_update}";

const KEEP_NEWEST: &str = "\
    delete from {campanile}notification_addresses where user_id = $1 and channel = $2 and address <> \
    (select address from {campanile}notification_addresses \
    where user_id = $1 and channel = $2 order by created_at desc, address limit 1)";

const REMOVE: &str = "\
    delete from {campanile}notification_addresses where user_id = $1 and channel = $2 and address = $3";

const READ: &str = "\
    select user_id, address from {campanile}notification_addresses \
    where channel = $1 and user_id in (select {texts($2)}) order by user_id, created_at desc, address";

/// Adds an address, or makes it the newest.
pub(crate) async fn add(database: &Database, row: [&str; 3]) -> Result<(), sqlx::Error> {
    write(database, ADD, row).await
}

/// Removes an address, if it is there.
pub(crate) async fn remove(database: &Database, row: [&str; 3]) -> Result<(), sqlx::Error> {
    write(database, REMOVE, row).await
}

async fn write(
    database: &Database,
    statement: &str,
    [user, channel, address]: [&str; 3],
) -> Result<(), sqlx::Error> {
    let statement = database.sql(statement);
    each_connection!(database, |connection| {
        let write = sqlx::query(statement).bind(user).bind(channel);
        write.bind(address).execute(&mut *connection).await?;
        Ok(())
    })
}

/// One transaction; the rows that are there are locked in one order, so that two calls do not wait for each other. Another call
/// at the same time may have added a row that this one could not see: once both are committed, only the newest stays.
pub(crate) async fn replace(
    database: &Database,
    [user, channel, address]: &[String; 3],
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let mut transaction = connection.begin_with(database.begin()).await?;
        let lock = sqlx::query(database.sql(LOCK)).bind(user).bind(channel);
        lock.execute(&mut *transaction).await?;
        let add = sqlx::query(database.sql(ADD)).bind(user).bind(channel);
        add.bind(address).execute(&mut *transaction).await?;
        let keep = sqlx::query(database.sql(KEEP_NEWEST));
        let keep = keep.bind(user).bind(channel);
        keep.execute(&mut *transaction).await?;
        transaction.commit().await?;
        let keep = sqlx::query(database.sql(KEEP_NEWEST));
        let keep = keep.bind(user).bind(channel);
        keep.execute(&mut *connection).await?;
        Ok(())
    })
}

/// The addresses of these users on a channel, each user's newest first.
pub(crate) async fn read(
    database: &Database,
    channel: &str,
    users: &[String],
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let statement = database.sql(READ);
    let users = serde_json::json!(users).to_string();
    each_connection!(database, |connection| {
        let rows = sqlx::query(statement)
            .bind(channel)
            .bind(users)
            .fetch_all(&mut *connection)
            .await?;
        let rows = rows.iter();
        rows.map(|row| Ok((row.try_get("user_id")?, row.try_get("address")?)))
            .collect()
    })
}
