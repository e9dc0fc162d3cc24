//! The **suppression list**: addresses that must not be mailed, because they bounced, complained or were entered by hand.
//!
//! It is queried last, right before sending. Its lookups are by address only, without users and preferences.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use campanile::database::{Database, Statement, each_connection, row, statement};
use campanile::event::recipient::InvalidInput;
use campanile::sqlx;
use campanile::{ErasureKey, StoreError};

use crate::mailbox::{InvalidMailbox, Mailbox};

/// The maximum length of a reason, in characters.
const MAX_REASON: usize = 500;

/// The minimum time between two rejections without a reason after which the address is suppressed.
const ANOTHER_DAY: Duration = Duration::from_hours(24);

statement! {
    /// A later expiry replaces an earlier one; an entry without an expiry is unchanged.
    ADD = "\
        insert into {campanile}email_suppressions as listed (address, reason, created_at, kind, expires_at, user_id) \
        values ($1, $2, {now}, $3, {later($4)}, $5) on conflict (address) do update \
        set reason = excluded.reason, created_at = excluded.created_at, kind = excluded.kind, expires_at = excluded.expires_at, \
        user_id = coalesce(excluded.user_id, listed.user_id) \
        where listed.expires_at is not null \
        and (excluded.expires_at is null or excluded.expires_at > listed.expires_at)"
}

const COLUMNS: &str =
    "address, reason, kind, {micros(created_at)} as since, {micros(expires_at)} as expires_at";

const COUNTS: &str = "(expires_at is null or expires_at > {now})";

statement! {
    LIST = "\
        select {columns} from {campanile}email_suppressions where {counts} \
        and ({text($1)} is null or (created_at, address) < \
            (select created_at, address from {campanile}email_suppressions where address = $1)) \
        order by created_at desc, address desc limit {int($2)}",
    columns = COLUMNS, counts = COUNTS
}

statement! {
    GET = "\
        select {columns} from {campanile}email_suppressions \
        where address in (select {texts($1)}) and {counts} order by address like 'erased:%' limit 1",
    columns = COLUMNS, counts = COUNTS
}

statement! {
    KNOWN = "\
        select address, 0 as suspected from {campanile}email_suppressions \
        where address in (select {texts($1)}) and {counts} union all \
        select address, 1 from {campanile}email_suspects where address in (select {texts($1)})",
    counts = COUNTS
}

statement! { REMOVE = "delete from {campanile}email_suppressions where address in (select {texts($1)})" }

statement! {
    REHABILITATE = "\
        delete from {campanile}email_suppressions where kind = 'bounce' and address in (select {texts($1)})"
}

statement! { ACQUIT = "delete from {campanile}email_suspects where address in (select {texts($1)})" }

statement! {
    SUSPECT = "\
        insert into {campanile}email_suspects (address, reason, created_at, user_id) \
        values ($1, $2, {now}, $3) on conflict (address) do nothing"
}

statement! {
    /// Adds the addresses that have been suspected since an earlier day, by `$3`.
    CONVICT = "\
        insert into {campanile}email_suppressions as listed (address, reason, created_at, kind, user_id) \
        select address, $2, {now}, 'bounce', $4 from {campanile}email_suspects \
        where address = $1 and created_at <= {earlier($3)} on conflict (address) do update \
        set reason = excluded.reason, created_at = excluded.created_at, kind = excluded.kind, expires_at = null, \
            user_id = excluded.user_id \
        where listed.expires_at is not null"
}

/// The table `email_suppressions`. Cheap to clone.
///
/// Addresses are compared in lower case, with their domain in ASCII. An expired entry does not count.
///
/// ```
/// # async fn example(database: campanile::Database) -> Result<(), campanile_email::SuppressionError> {
/// use std::time::Duration;
///
/// use campanile_email::{SuppressionFilter, SuppressionKind, Suppressions};
///
/// let suppressions = Suppressions::new(database);
/// suppressions.add("ada@example.com", "asked support to stop").await?;
/// assert!(suppressions.contains("Ada@Example.com").await?);
///
/// let two_weeks = Duration::from_hours(14 * 24);
/// suppressions.add_for(two_weeks, SuppressionKind::Bounce, "bob@example.com", "his server is down").await?;
/// for suppression in suppressions.list(SuppressionFilter::default()).await? {
///     println!("{}: {} ({})", suppression.kind.as_str(), suppression.address, suppression.reason);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Suppressions {
    database: Database,
    key: Option<ErasureKey>,
}

/// An address on the list.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suppression {
    /// The address, in lower case, its domain in ASCII; or the hash of one that was [erased](Suppression::is_erased).
    pub address: String,
    /// How it came on the list.
    pub kind: SuppressionKind,
    /// The reason, as text.
    pub reason: String,
    /// Since when.
    pub since: SystemTime,
    /// When it expires; `None` if it stays until it is removed.
    pub expires_at: Option<SystemTime>,
}

/// How an address came on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SuppressionKind {
    /// The receiving side said that there is no such address.
    Bounce,
    /// The recipient marked a mail as spam.
    Complaint,
    /// An operator added it by hand.
    Manual,
}

impl SuppressionKind {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Bounce, Self::Complaint, Self::Manual];

    /// The kind in one word, as stored in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Manual => "manual",
        }
    }

    /// An older binary wrote no kind, and started the reasons of bounces with this word.
    fn read(kind: Option<&str>, reason: &str) -> Self {
        let by_name = |name| Self::ALL.iter().copied().find(|kind| kind.as_str() == name);
        match kind.and_then(by_name) {
            Some(kind) => kind,
            None if kind.is_none() && reason.starts_with("bounced: ") => Self::Bounce,
            None => Self::Manual,
        }
    }
}

/// Which entries are listed.
#[derive(Debug, Clone, Copy)]
pub struct SuppressionFilter<'a> {
    /// Only entries after this address in the order of the list, for the next page.
    pub after: Option<&'a str>,
    /// The maximum number of entries. Default: 100.
    pub limit: u32,
}

impl Default for SuppressionFilter<'_> {
    fn default() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }
}

/// Why the list was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuppressionError {
    /// It is not an address.
    #[error(transparent)]
    InvalidAddress(#[from] InvalidMailbox),
    /// It is not a user id.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The database did not answer.
    #[error("the suppression list did not answer")]
    Store(#[from] StoreError),
}

impl SuppressionError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// The state of some addresses on the list.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Those that must not be mailed.
    pub(crate) suppressed: HashSet<String>,
    /// Those that were rejected once without a reason.
    pub(crate) suspects: HashSet<String>,
}

impl Suppressions {
    /// The list in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            key: None,
        }
    }

    /// The same list, which also recognizes the addresses of forgotten users by their hashes:
    /// `.with_erasure_key(dispatcher.erasure_key().cloned())`. The channel's own list has this key.
    #[must_use]
    pub fn with_erasure_key(self, key: Option<ErasureKey>) -> Self {
        Self { key, ..self }
    }

    /// Adds an address by hand, with a reason. An address that is already listed keeps its reason.
    ///
    /// # Errors
    ///
    /// When it is not an address, or the database does not answer.
    ///
    /// # Cancel safety
    ///
    /// One statement: the address is added or not.
    pub async fn add(&self, address: &str, reason: &str) -> Result<(), SuppressionError> {
        self.add_as(SuppressionKind::Manual, address, reason).await
    }

    /// Adds an address that bounced or complained, with a reason.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    ///
    /// # Cancel safety
    ///
    /// As [`add`](Suppressions::add).
    pub async fn add_as(
        &self,
        kind: SuppressionKind,
        address: &str,
        reason: &str,
    ) -> Result<(), SuppressionError> {
        self.insert(kind, address, reason, None, None).await
    }

    /// Adds an address of a user that bounced or complained, with a reason. The entry is deleted when the user is forgotten, even
    /// if no address book contains the address any more.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add), and when it is not a user id.
    ///
    /// # Cancel safety
    ///
    /// As [`add`](Suppressions::add).
    pub async fn add_of(
        &self,
        user: &str,
        kind: SuppressionKind,
        address: &str,
        reason: &str,
    ) -> Result<(), SuppressionError> {
        campanile::event::recipient::check("user_id", user)?;
        self.insert(kind, address, reason, None, Some(user)).await
    }

    /// Adds an address for a limited time. It replaces an entry that expires earlier.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    ///
    /// # Cancel safety
    ///
    /// As [`add`](Suppressions::add).
    pub async fn add_for(
        &self,
        time: Duration,
        kind: SuppressionKind,
        address: &str,
        reason: &str,
    ) -> Result<(), SuppressionError> {
        self.insert(kind, address, reason, Some(micros(time)), None)
            .await
    }

    async fn insert(
        &self,
        kind: SuppressionKind,
        address: &str,
        reason: &str,
        micros: Option<i64>,
        user: Option<&str>,
    ) -> Result<(), SuppressionError> {
        let address = comparable(address)?;
        let written: Result<(), sqlx::Error> = each_connection!(&self.database, |connection| {
            sqlx::query(ADD.on(&self.database))
                .bind(address)
                .bind(shortened(reason))
                .bind(kind.as_str())
                .bind(micros)
                .bind(user)
                .execute(&mut *connection)
                .await?;
            Ok(())
        });
        Ok(written.map_err(StoreError::from)?)
    }

    /// Removes an address, and returns whether it was listed, in plain text or erased. A suspicion against it is dropped too.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    ///
    /// # Cancel safety
    ///
    /// The address is removed or not; a suspicion may stay. Call it again if the result is unknown.
    pub async fn remove(&self, address: &str) -> Result<bool, SuppressionError> {
        let address = comparable(address)?;
        let forms = serde_json::Value::from(self.listed_forms(&address));
        let removed = self.delete(&REMOVE, &forms.to_string()).await?;
        let suspected = serde_json::Value::from([address.as_str()].as_slice());
        self.delete(&ACQUIT, &suspected.to_string()).await?;
        Ok(removed > 0)
    }

    /// The unexpired entries, newest first.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    pub async fn list(
        &self,
        filter: SuppressionFilter<'_>,
    ) -> Result<Vec<Suppression>, SuppressionError> {
        let after = match filter.after {
            Some(erased) if ErasureKey::is_erased(erased) => Some(erased.to_owned()),
            after => after.map(comparable).transpose()?,
        };
        let listed: Result<Vec<ListedRow>, _> = each_connection!(&self.database, |connection| {
            sqlx::query_as(LIST.on(&self.database))
                .bind(after)
                .bind(i64::from(filter.limit))
                .fetch_all(&mut *connection)
                .await
        });
        let listed = listed.map_err(StoreError::from)?;
        Ok(listed.into_iter().map(Suppression::from).collect())
    }

    /// The unexpired entry of an address, if it has one.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    pub async fn get(&self, address: &str) -> Result<Option<Suppression>, SuppressionError> {
        let address = comparable(address)?;
        let forms = serde_json::Value::from(self.listed_forms(&address)).to_string();
        let found: Result<Option<ListedRow>, _> = each_connection!(&self.database, |connection| {
            let found = sqlx::query_as(GET.on(&self.database)).bind(forms);
            found.fetch_optional(&mut *connection).await
        });
        Ok(found.map_err(StoreError::from)?.map(Suppression::from))
    }

    /// Why an address is listed, if it is.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    pub async fn reason(&self, address: &str) -> Result<Option<String>, SuppressionError> {
        Ok(self.get(address).await?.map(|listed| listed.reason))
    }

    /// Whether an address is listed.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    pub async fn contains(&self, address: &str) -> Result<bool, SuppressionError> {
        Ok(self.get(address).await?.is_some())
    }

    /// The forms in which the list may contain an address, given in its comparable form.
    fn listed_forms(&self, address: &str) -> Vec<String> {
        let erased = self.key.as_ref().map(|key| key.erased(address));
        std::iter::once(address.to_owned()).chain(erased).collect()
    }

    /// The state of these addresses, given in their comparable form. One query for any number of them.
    pub(crate) async fn known(&self, addresses: &[String]) -> Result<Known, StoreError> {
        let forms: HashMap<String, &String> = addresses
            .iter()
            .flat_map(|address| {
                let forms = self.listed_forms(address).into_iter();
                forms.map(move |form| (form, address))
            })
            .collect();
        let listed: Vec<_> = forms.keys().cloned().collect();
        let listed = serde_json::Value::from(listed).to_string();
        let rows: Result<Vec<KnownRow>, _> = each_connection!(&self.database, |connection| {
            let known = sqlx::query_as(KNOWN.on(&self.database)).bind(listed);
            known.fetch_all(&mut *connection).await
        });
        let mut known = Known::default();
        for row in rows? {
            let Some(&address) = forms.get(&row.address) else {
                continue;
            };
            if row.suspected == 0 {
                known.suppressed.insert(address.clone());
            } else {
                known.suspects.insert(address.clone());
            }
        }
        Ok(known)
    }

    /// Records that an address, given in its comparable form, was rejected without a reason. If that happened on an earlier day
    /// too, it counts as bounced.
    pub(crate) async fn suspect(
        &self,
        user: &str,
        address: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let reason = shortened(reason);
        let written: Result<(), sqlx::Error> = each_connection!(&self.database, |connection| {
            let note = sqlx::query(SUSPECT.on(&self.database));
            let note = note.bind(address).bind(&reason).bind(user);
            note.execute(&mut *connection).await?;
            sqlx::query(CONVICT.on(&self.database))
                .bind(address)
                .bind(reason)
                .bind(micros(ANOTHER_DAY))
                .bind(user)
                .execute(&mut *connection)
                .await?;
            Ok(())
        });
        Ok(written?)
    }

    /// Drops the suspicion against these addresses, given in their comparable form, because a mail was accepted for them.
    pub(crate) async fn acquit(&self, addresses: &[String]) -> Result<(), StoreError> {
        let addresses = serde_json::Value::from(addresses).to_string();
        self.delete(&ACQUIT, &addresses).await?;
        Ok(())
    }

    /// Removes these addresses, given in their comparable form, from the list again if they bounced.
    pub(crate) async fn rehabilitate(&self, addresses: &[String]) -> Result<(), StoreError> {
        let text = serde_json::Value::from(addresses).to_string();
        self.delete(&REHABILITATE, &text).await?;
        self.acquit(addresses).await
    }

    async fn delete(
        &self,
        statement: &'static Statement,
        addresses: &str,
    ) -> Result<u64, StoreError> {
        let deleted: Result<u64, sqlx::Error> = each_connection!(&self.database, |connection| {
            let delete = sqlx::query(statement.on(&self.database)).bind(addresses);
            Ok(delete.execute(&mut *connection).await?.rows_affected())
        });
        Ok(deleted?)
    }
}

impl Suppression {
    /// Whether its user was forgotten and the address erased: the list recognizes the address if it is added again, but nobody
    /// can read it.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        ErasureKey::is_erased(&self.address)
    }
}

row! {
    /// A row of [`LIST`] and [`GET`].
    struct ListedRow {
        address: String,
        reason: String,
        kind: Option<String>,
        since: i64,
        expires_at: Option<i64>,
    }
}

impl From<ListedRow> for Suppression {
    fn from(row: ListedRow) -> Self {
        Self {
            address: row.address,
            kind: SuppressionKind::read(row.kind.as_deref(), &row.reason),
            reason: row.reason,
            since: time(row.since),
            expires_at: row.expires_at.map(time),
        }
    }
}

row! {
    /// A row of [`KNOWN`].
    struct KnownRow {
        address: String,
        suspected: i32,
    }
}

/// Does not show the address.
impl std::fmt::Debug for Suppression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suppression")
            .field("kind", &self.kind)
            .field("reason", &self.reason)
            .field("since", &self.since)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn comparable(address: &str) -> Result<String, InvalidMailbox> {
    Ok(address.parse::<Mailbox>()?.comparable())
}

fn shortened(reason: &str) -> String {
    reason.replace('\0', " ").chars().take(MAX_REASON).collect()
}

/// At most a hundred years: no database supports much later dates.
fn micros(time: Duration) -> i64 {
    let time = time.min(Duration::from_hours(100 * 366 * 24));
    i64::try_from(time.as_micros()).expect("a hundred years in microseconds fit")
}

fn time(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
