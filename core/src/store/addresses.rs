//! The rows of `notification_addresses`.

use sqlx::Connection as _;

use crate::database::{Database, Statement, each_connection, row, statement};

statement! {
    /// A new address is always newer than the user's others, whatever the clock says: SQLite's clock has only millisecond
    /// resolution.
    ADD = "\
        insert into {campanile}notification_addresses (user_id, channel, address, created_at) \
        select $1, $2, $3, case when newest >= {now} then {after(newest)} else {now} end \
        from (select max(created_at) as newest from {campanile}notification_addresses \
        where user_id = $1 and channel = $2) as known where true \
        on conflict (user_id, channel, address) do update set created_at = excluded.created_at"
}

statement! {
    LOCK = "\
        select address from {campanile}notification_addresses \
        where user_id = $1 and channel = $2 order by address {for_update}"
}

statement! {
    KEEP_NEWEST = "\
        delete from {campanile}notification_addresses where user_id = $1 and channel = $2 and address <> \
        (select address from {campanile}notification_addresses \
        where user_id = $1 and channel = $2 order by created_at desc, address limit 1)"
}

statement! {
    REMOVE = "\
        delete from {campanile}notification_addresses where user_id = $1 and channel = $2 and address = $3"
}

statement! {
    READ = "\
        select user_id, address from {campanile}notification_addresses \
        where channel = $1 and user_id in (select {texts($2)}) order by user_id, created_at desc, address"
}

row! {
    /// A row of [`READ`].
    struct AddressRow {
        user_id: String,
        address: String,
    }
}

/// Adds an address, or makes it the newest.
pub(crate) async fn add(database: &Database, row: [&str; 3]) -> Result<(), sqlx::Error> {
    write(database, &ADD, row).await
}

/// Removes an address, if it exists.
pub(crate) async fn remove(database: &Database, row: [&str; 3]) -> Result<(), sqlx::Error> {
    write(database, &REMOVE, row).await
}

async fn write(
    database: &Database,
    statement: &'static Statement,
    [user, channel, address]: [&str; 3],
) -> Result<(), sqlx::Error> {
    each_connection!(database, |connection| {
        let write = sqlx::query(statement.on(database)).bind(user).bind(channel);
        write.bind(address).execute(&mut *connection).await?;
        Ok(())
    })
}

/// One transaction; the existing rows are locked in a fixed order, so that two calls do not deadlock. A concurrent call may have
/// added a row that this one could not see: once both are committed, only the newest stays.
pub(crate) async fn replace(
    database: &Database,
    [user, channel, address]: &[String; 3],
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let mut transaction = connection.begin_with(database.begin()).await?;
        let lock = sqlx::query(LOCK.on(database)).bind(user).bind(channel);
        lock.execute(&mut *transaction).await?;
        let add = sqlx::query(ADD.on(database)).bind(user).bind(channel);
        add.bind(address).execute(&mut *transaction).await?;
        let keep = sqlx::query(KEEP_NEWEST.on(database));
        let keep = keep.bind(user).bind(channel);
        keep.execute(&mut *transaction).await?;
        transaction.commit().await?;
        let keep = sqlx::query(KEEP_NEWEST.on(database));
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
    let users = serde_json::json!(users).to_string();
    let rows: Vec<AddressRow> = each_connection!(database, |connection| {
        let addresses = sqlx::query_as(READ.on(database)).bind(channel).bind(users);
        addresses.fetch_all(&mut *connection).await
    })?;
    let pairs = rows.into_iter().map(|row| (row.user_id, row.address));
    Ok(pairs.collect())
}
