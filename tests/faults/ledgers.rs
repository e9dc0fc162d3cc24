//! The data that the oracle compares: the deliveries in the database, and the ledgers of the provider and the pigeons.

use std::collections::HashSet;

use campanile::database::each_database;
use campanile_tests::provider::Mail;

use crate::stage::{Stage, address};

/// One delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) key: String,
    pub(crate) channel: String,
    pub(crate) state: String,
    /// The mail in the form in which the provider sees it.
    pub(crate) mail: Mail,
}

const DELIVERIES: &str = "\
    select {text(delivery.id)} as id, delivery.user_id, delivery.channel, delivery.state, dispatch.payload ->> 'text' as text \
    from {campanile}notification_deliveries as delivery \
    join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id";

/// Every delivery in the database.
pub(crate) async fn deliveries(stage: &Stage) -> Vec<Delivery> {
    let statement = stage.database.database.sql(DELIVERIES);
    each_database!(&stage.database.database, |pool| {
        let rows = sqlx::query(statement).fetch_all(pool).await.unwrap();
        let delivery = |row| Delivery {
            key: format!("cmp_{}", text(row, "id")),
            channel: text(row, "channel"),
            state: text(row, "state"),
            mail: Mail::new(address(&text(row, "user_id")), text(row, "text")),
        };
        rows.iter().map(delivery).collect()
    })
}

fn text<'r, R>(row: &'r R, column: &str) -> String
where
    R: sqlx::Row,
    for<'c> &'c str: sqlx::ColumnIndex<R>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    row.get(column)
}

/// The key of every scroll that a pigeon delivered.
pub(crate) fn scrolls(stage: &Stage) -> HashSet<String> {
    let ledger = std::fs::read_to_string(stage.pigeons()).unwrap_or_default();
    ledger.lines().map(str::to_owned).collect()
}
