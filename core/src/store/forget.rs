//! The erasure of a user: which rows go, in which order they are locked, and in which written forms rows may hold an address.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::Connection as _;

use crate::channel::erasure::ErasureKey;
use crate::database::connection::within;
use crate::database::error::StoreError;
use crate::database::{Database, Held, Statement, each_database, statement};

/// What was erased of a user, and what was not.
///
/// Not erased is what campanile does not hold: the host's own tables and address book, logs, backups, captured mail, and what
/// providers were given. Rows of other users that mention this one stay too: their inbox items, dispatches and window keys, by a
/// payload or a subject. Of what it does hold of the user, the content of [shared dispatches](Forgotten::shared_dispatches) stays, and, if
/// the host has given a key, [hashes](Forgotten::kept_hashes) of addresses that must not be written to any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Forgotten {
    /// Remote deliveries, with their attempts.
    pub deliveries: u64,
    /// Dispatches that went to nobody else, with their content.
    pub dispatches: u64,
    /// Dispatches that went to others too. They stay, and their content may name the user: it is the others' as well, and goes
    /// with them, or when it is pruned.
    pub shared_dispatches: u64,
    /// Rows of other tables: inbox items, windows, preferences, addresses, suppressed addresses, and what the linked channels
    /// hold.
    pub rows: u64,
    /// Suppressed addresses of which a keyed hash stays, so that they are suppressed when they come back: those that complained or
    /// were entered by hand. Of bounces none stays, for such an address says so again. Always 0 without a
    /// [key](crate::Builder::erasure_key).
    pub kept_hashes: u64,
}

statement! {
    /// The user's deliveries. Whoever records an attempt at one of them has done so before this, or finds nothing afterwards. By
    /// their ids, as everybody locks deliveries.
    LOCK_DELIVERIES = "\
        select {text(dispatch_id)} as dispatch_id from {campanile}notification_deliveries where user_id = $1 \
        order by id {for_update}"
}

statement! {
    /// Two users of one dispatch who are forgotten at the same time wait here for each other, and whoever prunes it passes over it;
    /// otherwise each would see the other's delivery, and nobody would remove the content.
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
    ATTEMPTS = "\
        delete from {campanile}notification_attempts where delivery_id in \
        (select id from {campanile}notification_deliveries where user_id = $1 and dispatch_id in (select {uuids($2)}))"
}

statement! {
    /// Those of the dispatches that are locked. One that was made since stays whole.
    DELIVERIES = "\
        delete from {campanile}notification_deliveries where user_id = $1 and dispatch_id in (select {uuids($2)})"
}

statement! {
    DISPATCHES = "\
        delete from {campanile}notification_dispatches where id in (select {uuids($1)}) and not exists \
        (select 1 from {campanile}notification_deliveries as other where other.dispatch_id = notification_dispatches.id)"
}

statement! {
    /// Where the table of addresses reaches the user.
    ADDRESSES = "select address from {campanile}notification_addresses where user_id = $1"
}

statement! { WINDOWS = "delete from {campanile}notification_dedup where recipient_user_id = $1" }
statement! { PREFERENCES = "delete from {campanile}user_notification_preferences where user_id = $1" }
statement! { ADDRESS_BOOK = "delete from {campanile}notification_addresses where user_id = $1" }

/// Core's other tables.
static ROWS: [&Statement; 3] = [&WINDOWS, &PREFERENCES, &ADDRESS_BOOK];

// What the migrations say of their tables, by its place.
statement! { SUPPRESSED = campanile_migrations::ADDRESSES[0] }
statement! { SUSPECTED = campanile_migrations::ADDRESSES[1] }
statement! { KEEP_SUPPRESSED = campanile_migrations::KEEP[0] }
statement! { KEPT_SUPPRESSED = campanile_migrations::KEPT[0] }
statement! { ERASE_CURRENT = campanile_migrations::ERASE[0] }
statement! { ERASE_ARCHIVED = campanile_migrations::ERASE[1] }
statement! { ERASE_SUPPRESSED = campanile_migrations::ERASE[2] }
statement! { ERASE_SUSPECTED = campanile_migrations::ERASE[3] }

static ALL_ADDRESSES: [&Statement; campanile_migrations::ADDRESSES.len() + 1] =
    [&SUPPRESSED, &SUSPECTED, &ADDRESSES];
static KEEP: [&Statement; campanile_migrations::KEEP.len()] = [&KEEP_SUPPRESSED];
static KEPT: [&Statement; campanile_migrations::KEPT.len()] = [&KEPT_SUPPRESSED];
static ERASE: [&Statement; campanile_migrations::ERASE.len()] = [
    &ERASE_CURRENT,
    &ERASE_ARCHIVED,
    &ERASE_SUPPRESSED,
    &ERASE_SUSPECTED,
];

/// What erases.
pub(crate) struct Erasure<'a> {
    pub(crate) database: &'a Database,
    /// What erases a user from the channels' own tables.
    pub(crate) statements: &'a [&'static Statement],
    /// Under which hashes of erased addresses are kept.
    pub(crate) key: Option<&'a ErasureKey>,
}

impl Erasure<'_> {
    /// The statements about rows that stand for themselves.
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
        let locked = transaction
            .texts(database, &LOCK_DELIVERIES, &[user])
            .await?;
        let dispatches: BTreeSet<_> = locked.into_iter().collect();
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
            let hashes: Vec<_> = forms.iter().map(|form| key.erased(form)).collect();
            let pairs = forms.iter().zip(&hashes);
            let pairs =
                pairs.map(|(form, hash)| serde_json::json!({ "address": form, "hash": hash }));
            let pairs = pairs.collect::<serde_json::Value>().to_string();
            for statement in KEEP {
                transaction.rows(database, statement, &[&pairs]).await?;
            }
            let hashes = serde_json::json!(hashes).to_string();
            for statement in KEPT {
                let kept = transaction.texts(database, statement, &[&hashes]).await?;
                forgotten.kept_hashes += kept.len() as u64;
            }
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
        let arguments: &[&str] = &[user, &dispatches];
        transaction.rows(database, &ATTEMPTS, arguments).await?;
        forgotten.deliveries = transaction.rows(database, &DELIVERIES, arguments).await?;
        forgotten.dispatches = transaction
            .rows(database, &DISPATCHES, &[&dispatches])
            .await?;
        forgotten.shared_dispatches = (locked.len() as u64).saturating_sub(forgotten.dispatches);
        Ok(forgotten)
    }
}

/// The statements of an erasure, each bounded by itself, on either database. Their arguments are texts.
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

/// The forms under which a table may hold an address: as it is, and in small letters; without the name in `Name <address>`; its
/// domain as it is and in ASCII. No channel's knowledge is needed for that, so that it holds for those that are not linked too.
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
    fn every_written_form_of_a_mail_address_has_the_one_that_is_compared() {
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
    fn what_is_no_mail_address_is_compared_as_it_is() {
        assert!(forms("Token_7").contains("Token_7"));
        assert!(forms("<").contains("<"));
        assert!(forms("a@[").contains("a@["));
    }
}
