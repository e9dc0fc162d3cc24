//! **Suppressions**: addresses that must not be mailed.
//!
//! It uses the table of the email channel without linking the channel, so it also works in the command line of a host without
//! that channel.

use std::time::Duration;

use campanile::database::{Statement, each_connection, statement};
use campanile::{Database, Dispatcher, ErasureKey, RegistryError, StoreError};
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row as _;

use crate::error::CommandError;
use crate::input;
use crate::output::Answer;
use crate::table::{Table, or_dash, plain, short};

/// How an address came on the list, as stored in the table.
const KINDS: [&str; 3] = ["bounce", "complaint", "manual"];

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists the addresses that must not be mailed, newest first
    List {
        /// Only of this kind
        #[arg(long, value_parser = PossibleValuesParser::new(KINDS))]
        kind: Option<String>,
        /// List suspected addresses instead: they were rejected once without a reason, and are suppressed if that happens again
        /// on another day
        #[arg(long, conflicts_with_all = ["kind", "after"])]
        suspects: bool,
        /// Only those after this address, for the next page
        #[arg(long, value_name = "ADDRESS", value_parser = place)]
        after: Option<String>,
        /// The maximum number of addresses
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Adds an address
    Add {
        /// The address
        #[arg(value_parser = input::address)]
        address: String,
        /// The reason, for other operators
        #[arg(long)]
        reason: String,
        /// The kind of the entry
        #[arg(long, default_value = "manual", value_parser = PossibleValuesParser::new(KINDS))]
        kind: String,
        /// How long it is suppressed: `14d`. Default: until it is removed
        #[arg(long = "for", value_name = "TIME", value_parser = input::length_of_time)]
        lasting: Option<Duration>,
    },
    /// Removes an address, even if it was erased, and a suspicion against it
    Remove {
        /// The address
        #[arg(value_parser = input::address)]
        address: String,
    },
}

/// An entry in the form in which it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    address: String,
    /// Its user was forgotten: a hash takes the place of the address.
    erased: bool,
    kind: String,
    reason: String,
    since: Timestamp,
    expires_at: Option<Timestamp>,
}

/// A position in the list: an address, or the hash of an erased one.
fn place(text: &str) -> Result<String, String> {
    if ErasureKey::is_erased(text) {
        return Ok(text.to_owned());
    }
    input::address(text)
}

/// The dispatcher's key, or the one in the environment if the dispatcher cannot be built. An invalid key is reported as a problem
/// of the dispatcher.
pub(crate) fn erasure_key(dispatcher: Result<&Dispatcher, &RegistryError>) -> Option<ErasureKey> {
    match dispatcher {
        Ok(dispatcher) => dispatcher.erasure_key().cloned(),
        Err(_) => ErasureKey::from_environment().ok().flatten(),
    }
}

statement! {
    /// An older binary wrote no kind.
    LIST = "\
        select address, reason, {micros(created_at)} as since, {micros(expires_at)} as expires_at, \
        coalesce(kind, case when reason like 'bounced: %' then 'bounce' else 'manual' end) as kind \
        from {campanile}email_suppressions \
        where (expires_at is null or expires_at > {now}) \
        and ({text($1)} is null or coalesce(kind, case when reason like 'bounced: %' then 'bounce' else 'manual' end) = $1) \
        and ({text($2)} is null or (created_at, address) < \
        (select created_at, address from {campanile}email_suppressions where address = $2)) \
        order by created_at desc, address desc limit {int($3)}"
}

statement! {
    SUSPECTS = "\
        select address, reason, {micros(created_at)} as since, {int(null)} as expires_at, 'suspect' as kind \
        from {campanile}email_suspects order by created_at desc, address desc limit {int($1)}"
}

statement! {
    /// A later expiry replaces an earlier one; an entry without an expiry is unchanged.
    ADD = "\
        insert into {campanile}email_suppressions as listed (address, reason, created_at, kind, expires_at) \
        values ($1, $2, {now}, $3, {later($4)}) on conflict (address) do update \
        set reason = excluded.reason, created_at = excluded.created_at, kind = excluded.kind, expires_at = excluded.expires_at \
        where listed.expires_at is not null \
        and (excluded.expires_at is null or excluded.expires_at > listed.expires_at)"
}

pub(crate) async fn perform(
    action: Action,
    database: &Database,
    key: Option<&ErasureKey>,
) -> Result<Answer, CommandError> {
    match action {
        Action::List {
            suspects: true,
            limit,
            ..
        } => {
            let entries = list(database, &SUSPECTS, None, limit).await?;
            Ok(Answer::new(
                table(&entries, limit, "no address is suspected"),
                &entries,
            ))
        }
        Action::List {
            kind, after, limit, ..
        } => {
            let entries = list(database, &LIST, Some((kind, after)), limit).await?;
            Ok(Answer::new(
                table(&entries, limit, "no address is suppressed"),
                &entries,
            ))
        }
        Action::Add {
            address,
            reason,
            kind,
            lasting,
        } => add(database, &address, &reason, &kind, lasting).await,
        Action::Remove { address } => remove(database, key, &address).await,
    }
}

async fn list(
    database: &Database,
    statement: &'static Statement,
    filter: Option<(Option<String>, Option<String>)>,
    limit: u32,
) -> Result<Vec<Entry>, CommandError> {
    let time = |micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
    let entries: Result<_, sqlx::Error> = each_connection!(database, |connection| {
        let mut query = sqlx::query(statement.on(database));
        if let Some((kind, after)) = filter {
            query = query.bind(kind).bind(after);
        }
        let query = query.bind(i64::from(limit));
        let rows = query.fetch_all(&mut *connection).await?;
        let rows = rows.iter().map(|row| {
            let expires_at: Option<i64> = row.try_get("expires_at")?;
            let address: String = row.try_get("address")?;
            Ok(Entry {
                erased: ErasureKey::is_erased(&address),
                address,
                kind: row.try_get("kind")?,
                reason: row.try_get("reason")?,
                since: time(row.try_get("since")?),
                expires_at: expires_at.map(time),
            })
        });
        rows.collect()
    });
    Ok(entries?)
}

fn table(entries: &[Entry], limit: u32, none: &str) -> String {
    let Some(last) = entries.last() else {
        return none.to_owned();
    };
    let mut table = Table::new(["ADDRESS", "KIND", "SINCE", "UNTIL", "REASON"]);
    for entry in entries {
        table.row([
            if entry.erased {
                "(erased)".to_owned()
            } else {
                plain(&entry.address)
            },
            plain(&entry.kind),
            format!("{:.0}", entry.since),
            or_dash(entry.expires_at.map(|at| format!("{at:.0}"))),
            short(&entry.reason),
        ]);
    }
    if entries.len() as u64 == u64::from(limit) {
        format!("{table}older ones: --after {}", plain(&last.address))
    } else {
        table.to_string()
    }
}

async fn add(
    database: &Database,
    address: &str,
    reason: &str,
    kind: &str,
    lasting: Option<Duration>,
) -> Result<Answer, CommandError> {
    let reason: String = reason.replace('\0', " ").chars().take(500).collect();
    let micros = lasting.map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    let added: Result<u64, sqlx::Error> = each_connection!(database, |connection| {
        let query = sqlx::query(ADD.on(database)).bind(address).bind(reason);
        let query = query.bind(kind).bind(micros);
        Ok(query.execute(&mut *connection).await?.rows_affected())
    });
    let added = added?;
    let text = if added == 0 {
        format!("{address} is already suppressed, and its entry is unchanged")
    } else {
        format!("{address} is suppressed; `suppressions remove {address}` ends it")
    };
    let json = json!({ "address": address, "suppressed": true, "added": added > 0 });
    Ok(Answer::new(text, &json))
}

statement! {
    REMOVE_SUPPRESSIONS = "delete from {campanile}email_suppressions where address in (select {texts($1)})"
}

statement! {
    REMOVE_SUSPECTS = "delete from {campanile}email_suspects where address in (select {texts($1)})"
}

async fn remove(
    database: &Database,
    key: Option<&ErasureKey>,
    address: &str,
) -> Result<Answer, CommandError> {
    let erased = key.map(|key| key.erased(address));
    let forms: Vec<_> = std::iter::once(address.to_owned()).chain(erased).collect();
    let forms = json!(forms).to_string();
    let mut removed = 0;
    for statement in [&REMOVE_SUPPRESSIONS, &REMOVE_SUSPECTS] {
        let rows: Result<u64, sqlx::Error> = each_connection!(database, |connection| {
            let query = sqlx::query(statement.on(database)).bind(&forms);
            Ok(query.execute(&mut *connection).await?.rows_affected())
        });
        removed += rows?;
    }
    let text = if removed == 0 {
        format!("{address} was not suppressed")
    } else {
        format!("{address} is mailed again")
    };
    let json = json!({ "address": address, "suppressed": false, "removed": removed > 0 });
    Ok(Answer::new(text, &json))
}

statement! {
    LATELY = "\
        select (select count(*) from {campanile}email_suppressions where created_at > {earlier(86400000000)}) as day, \
        (select count(*) from {campanile}email_suppressions where created_at > {earlier(604800000000)}) as week, \
        (select count(*) from {campanile}email_suspects) as suspects"
}

/// How many unexpired entries were added in the last day and in the last week, and how many addresses are suspected.
pub(crate) async fn lately(database: &Database) -> Result<[u64; 3], StoreError> {
    let counts: Result<_, sqlx::Error> = each_connection!(database, |connection| {
        let row = sqlx::query(LATELY.on(database))
            .fetch_one(&mut *connection)
            .await?;
        let count = |name| -> Result<u64, sqlx::Error> {
            Ok(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or_default())
        };
        Ok([count("day")?, count("week")?, count("suspects")?])
    });
    Ok(counts?)
}
