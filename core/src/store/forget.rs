//! The erasure of a user: which rows are deleted, in which order they are locked, and in which written forms rows may hold an
//! address.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::Connection as _;

use super::removal;
use crate::channel::erasure::ErasureKey;
use crate::database::connection::within;
use crate::database::error::StoreError;
use crate::database::{Database, Held, Statement, each_database, statement};

/// What was erased about a user, and what was kept.
///
/// Campanile cannot erase data that it does not hold: the host's own tables and address book, logs, backups, captured mail, and
/// data that providers have received. Rows of other users that mention this one stay too, namely their inbox items, dispatches
/// and window keys, in a payload or a subject. Of the data about the user itself, the content of [shared
/// dispatches](Forgotten::shared_dispatches) stays, and, if the host has set a key, [hashes](Forgotten::kept_hashes) of addresses
/// that must not be written to any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Forgotten {
    /// Remote deliveries, with their attempts.
    pub deliveries: u64,
    /// Dispatches with no other recipient, with their content.
    pub dispatches: u64,
    /// Dispatches that had other recipients too. They stay, and their content may name the user: it belongs to the others as
    /// well, and is deleted when the last of them is forgotten, or when it is pruned.
    pub shared_dispatches: u64,
    /// Rows of other tables: inbox items, windows, preferences, addresses, suppressed addresses, and rows of the linked channels'
    /// own tables.
    pub rows: u64,
    /// Suppressed addresses of which a keyed hash is kept, so that they stay suppressed if they are added again: those that
    /// complained or were entered by hand. No hash is kept of an address that bounced, because it will bounce again. Always 0
    /// without a [key](crate::Builder::erasure_key).
    pub kept_hashes: u64,
}

statement! {
    /// The user's deliveries. A worker that records an attempt at one of them does so before this lock, or finds no row
    /// afterwards. They are locked by ascending id, like everywhere.
    LOCK_DELIVERIES = "\
        select {text(id)} as id from {campanile}notification_deliveries where user_id = $1 order by id {for_update}"
}

statement! {
    DISPATCHES_OF = "\
        select distinct {text(dispatch_id)} as dispatch_id from {campanile}notification_deliveries where id in (select {uuids($1)})"
}

statement! {
    /// Erasures of two users of one dispatch at the same time wait here for each other, and pruning passes over the dispatch;
    /// otherwise each would see the other's delivery, and neither would remove the content.
    LOCK_DISPATCHES = "\
        select {text(id)} as id from {campanile}notification_dispatches where id in (select {uuids($1)}) order by id {for_update}"
}

statement! {
    /// In the order in which dispatches claim them. SQLite has no row locks, and no collation of this name.
    on Postgres; LOCK_WINDOWS = "\
        select 1 as held from {campanile}notification_dedup where recipient_user_id = $1 \
        order by event_type collate \"C\", dedup_key collate \"C\" {for_update}"
}

statement! {
    /// The user's addresses in the table of addresses.
    ADDRESSES = "select address from {campanile}notification_addresses where user_id = $1"
}

statement! { WINDOWS = "delete from {campanile}notification_dedup where recipient_user_id = $1" }
statement! { PREFERENCES = "delete from {campanile}user_notification_preferences where user_id = $1" }
statement! { ADDRESS_BOOK = "delete from {campanile}notification_addresses where user_id = $1" }

/// Core's other tables.
static ROWS: [&Statement; 3] = [&WINDOWS, &PREFERENCES, &ADDRESS_BOOK];

// The erasure statements that the migrations declare for their tables, referred to by index.
statement! { SUPPRESSED = campanile_migrations::ADDRESSES[0] }
statement! { SUSPECTED = campanile_migrations::ADDRESSES[1] }
statement! { KEEP_SUPPRESSED = campanile_migrations::KEEP[0] }
statement! { KEPT_SUPPRESSED = campanile_migrations::KEPT[0] }
statement! { ERASE_ITEMS = campanile_migrations::ERASE[0] }
statement! { ERASE_SUPPRESSED = campanile_migrations::ERASE[1] }
statement! { ERASE_SUSPECTED = campanile_migrations::ERASE[2] }

static ALL_ADDRESSES: [&Statement; campanile_migrations::ADDRESSES.len() + 1] =
    [&SUPPRESSED, &SUSPECTED, &ADDRESSES];
static KEEP: [&Statement; campanile_migrations::KEEP.len()] = [&KEEP_SUPPRESSED];
static KEPT: [&Statement; campanile_migrations::KEPT.len()] = [&KEPT_SUPPRESSED];
static ERASE: [&Statement; campanile_migrations::ERASE.len()] =
    [&ERASE_ITEMS, &ERASE_SUPPRESSED, &ERASE_SUSPECTED];

/// What an erasure needs.
pub(crate) struct Erasure<'a> {
    pub(crate) database: &'a Database,
    /// The statements that erase a user from the channels' own tables.
    pub(crate) statements: &'a [&'static Statement],
    /// The key of the hashes of erased addresses.
    pub(crate) key: Option<&'a ErasureKey>,
}

impl Erasure<'_> {
    /// The statements about rows that no other rows depend on.
    fn erasing(&self) -> impl Iterator<Item = &'static Statement> {
        let own = ERASE.into_iter().chain(ROWS);
        own.chain(self.statements.iter().copied())
    }

    pub(crate) async fn erase(
        &self,
        user: &str,
        addresses: &mut BTreeSet<String>,
    ) -> Result<Forgotten, StoreError> {
        let database = self.database;
        each_database!(database, |pool| {
            let (_turn, mut held) = Held::to_write(database, pool).await?;
            let connection = held.connection();
            let erased = async {
                let bound = database.bound();
                let begun = connection.begin_with(database.begin());
                let mut transaction = within(bound, begun).await?;
                let forgotten = self.erase_in(&mut *transaction, user, addresses).await?;
                within(bound, transaction.commit()).await?;
                Ok::<_, sqlx::Error>(forgotten)
            };
            let erased = erased.await.map_err(StoreError::from);
            held.end(&erased);
            erased
        })
    }

    async fn erase_in(
        &self,
        transaction: &mut impl Erasing,
        user: &str,
        addresses: &mut BTreeSet<String>,
    ) -> Result<Forgotten, sqlx::Error> {
        let database = self.database;
        // No index leads to them by their user: each would cost every delivery.
        let deliveries = transaction
            .texts(&database.for_chores(), &LOCK_DELIVERIES, &[user])
            .await?;
        let deliveries = serde_json::json!(deliveries).to_string();
        let dispatches = transaction
            .texts(database, &DISPATCHES_OF, &[&deliveries])
            .await?;
        let dispatches = serde_json::json!(dispatches).to_string();
        let locked = transaction
            .texts(database, &LOCK_DISPATCHES, &[&dispatches])
            .await?;
        if database.kind() == "Postgres" {
            transaction.rows(database, &LOCK_WINDOWS, &[user]).await?;
        }
        for statement in ALL_ADDRESSES {
            addresses.extend(transaction.texts(database, statement, &[user]).await?);
        }
        let forms: BTreeSet<_> = addresses
            .iter()
            .flat_map(|address| forms(address))
            .collect();
        let mut forgotten = Forgotten::default();
        if let Some(key) = self.key {
            forgotten.kept_hashes = keep_hashes(database, transaction, key, &forms).await?;
        }
        let forms = serde_json::json!(forms).to_string();
        for statement in self.erasing() {
            let arguments: &[&str] = if statement.on(database).contains("$2") {
                &[user, &forms]
            } else {
                &[user]
            };
            forgotten.rows += transaction.rows(database, statement, arguments).await?;
        }
        let mut removed = [0; removal::STEPS.len()];
        for (statement, count) in removal::STEPS.into_iter().zip(&mut removed) {
            *count = transaction
                .rows(database, statement, &[&deliveries])
                .await?;
        }
        [forgotten.dispatches, _, _, forgotten.deliveries] = removed;
        forgotten.shared_dispatches = (locked.len() as u64).saturating_sub(forgotten.dispatches);
        Ok(forgotten)
    }
}

/// Keeps the hashes of those addresses that must not be written to any more, and says how many are kept.
async fn keep_hashes(
    database: &Database,
    transaction: &mut impl Erasing,
    key: &ErasureKey,
    forms: &BTreeSet<String>,
) -> Result<u64, sqlx::Error> {
    let hashes: Vec<_> = forms.iter().map(|form| key.erased(form)).collect();
    let pairs = forms.iter().zip(&hashes);
    let pairs = pairs.map(|(form, hash)| serde_json::json!({ "address": form, "hash": hash }));
    let pairs = pairs.collect::<serde_json::Value>().to_string();
    for statement in KEEP {
        transaction.rows(database, statement, &[&pairs]).await?;
    }
    let hashes = serde_json::json!(hashes).to_string();
    let mut kept = 0;
    for statement in KEPT {
        kept += transaction
            .texts(database, statement, &[&hashes])
            .await?
            .len() as u64;
    }
    Ok(kept)
}

/// The statements of an erasure, each with its own timeout, on either database. Their arguments are texts.
trait Erasing {
    /// The first column of each row.
    async fn texts(
        &mut self,
        database: &Database,
        statement: &'static Statement,
        arguments: &[&str],
    ) -> Result<Vec<String>, sqlx::Error>;

    /// How many rows are touched.
    async fn rows(
        &mut self,
        database: &Database,
        statement: &'static Statement,
        arguments: &[&str],
    ) -> Result<u64, sqlx::Error>;
}

macro_rules! erasing {
    ($connection:ty) => {
        impl Erasing for $connection {
            async fn texts(
                &mut self,
                database: &Database,
                statement: &'static Statement,
                arguments: &[&str],
            ) -> Result<Vec<String>, sqlx::Error> {
                let mut asked = sqlx::query_scalar(statement.on(database));
                for argument in arguments {
                    asked = asked.bind(*argument);
                }
                within(database.bound(), asked.fetch_all(self)).await
            }

            async fn rows(
                &mut self,
                database: &Database,
                statement: &'static Statement,
                arguments: &[&str],
            ) -> Result<u64, sqlx::Error> {
                let mut erase = sqlx::query(statement.on(database));
                for argument in arguments {
                    erase = erase.bind(*argument);
                }
                let erased = within(database.bound(), erase.execute(self)).await?;
                Ok(erased.rows_affected())
            }
        }
    };
}

#[cfg(feature = "postgres")]
erasing!(sqlx::PgConnection);
#[cfg(feature = "sqlite")]
erasing!(sqlx::SqliteConnection);

/// The forms in which a table may hold an address: as written, and in lower case; without the name in `Name <address>`; with its
/// domain as written and in ASCII. This needs no knowledge of a channel, so it also covers channels that are not linked.
fn forms(address: &str) -> BTreeSet<String> {
    let trimmed = address.trim();
    let bare = trimmed
        .strip_suffix('>')
        .and_then(|text| text.rsplit_once('<'))
        .map_or(trimmed, |(_, bare)| bare.trim());
    let mut forms = BTreeSet::from([address, trimmed, bare].map(str::to_owned));
    forms.extend([trimmed, bare].map(str::to_lowercase));
    if let Some((local, domain)) = bare.rsplit_once('@')
        && let Ok(domain) = url::Host::parse(domain)
    {
        forms.insert(format!("{local}@{domain}"));
        forms.insert(format!("{local}@{domain}").to_lowercase());
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_written_form_of_a_mail_address_includes_the_compared_form() {
        for (written, compared) in [
            ("ada@example.com", "ada@example.com"),
            ("  Ada@Example.COM ", "ada@example.com"),
            ("Ada Lovelace <Ada@example.com>", "ada@example.com"),
            ("\"<Ada>\" < ada@example.com >", "ada@example.com"),
            ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
            ("Jörg <JÖRG@bücher.example>", "jörg@xn--bcher-kva.example"),
        ] {
            assert!(
                forms(written).contains(compared),
                "{written}: {:?}",
                forms(written)
            );
        }
    }

    #[test]
    fn an_address_that_is_not_a_mail_address_is_compared_unchanged() {
        assert!(forms("Token_7").contains("Token_7"));
        assert!(forms("<").contains("<"));
        assert!(forms("a@[").contains("a@["));
    }
}
