//! The **queue**: overdue deliveries, and those that wait for an operator or another binary.

use std::time::Duration;

use campanile::database::{each_connection, statement};
use campanile::operate::DeliveryState;
use campanile::{Database, Registry, StoreError};
use jiff::Timestamp;
use sqlx::Row as _;

use super::Finding;
use crate::channels;
use crate::table::{counted, plain};

/// Deliveries that a worker should have taken, of channels that are not paused.
const OVERDUE: &str = "\
    select delivery.channel, count(*) as count, {micros(min(delivery.run_at))} as since \
    from {campanile}notification_deliveries as delivery \
    where delivery.state = {state.pending} and delivery.run_at < {earlier(LATE)} and not exists \
    (select 1 from {campanile}notification_channel_pauses as held where held.channel = delivery.channel) \
    group by delivery.channel order by delivery.channel";

/// Deliveries of workers that are gone, and that no other worker took over.
const ABANDONED: &str = "\
    select delivery.channel, count(*) as count, {micros(min(delivery.lease_until))} as since \
    from {campanile}notification_deliveries as delivery \
    where delivery.state = {state.running} and delivery.lease_until < {earlier(LATE)} and not exists \
    (select 1 from {campanile}notification_channel_pauses as held where held.channel = delivery.channel) \
    group by delivery.channel order by delivery.channel";

statement! {
    WAITING = "\
        select channel, count(*) as count, {micros(min(created_at))} as since \
        from {campanile}notification_deliveries \
        where state in {states.open} group by channel order by channel"
}

statement! {
    DEAD = "\
        select channel, count(*) as count, {micros(min(created_at))} as since \
        from {campanile}notification_deliveries where state = {state.dead} group by channel order by channel"
}

statement! {
    BLOCKED = "\
        select channel, count(*) as count, {micros(min(created_at))} as since \
        from {campanile}notification_deliveries where state = {state.blocked} group by channel order by channel"
}

/// Some deliveries of one channel.
struct Waiting {
    channel: String,
    count: u64,
    since: Timestamp,
}

/// Deliveries that should have been sent by now.
pub(super) async fn overdue(
    database: &Database,
    registry: Option<&Registry>,
    late: Duration,
) -> Result<Vec<Finding>, StoreError> {
    const CHECK: &str = "queue";
    let mut checks = Vec::new();
    for (statement, what) in [
        (OVERDUE, "overdue"),
        (ABANDONED, "left by a worker that is gone"),
    ] {
        for group in late_groups(database, statement, late).await? {
            if !is_linked(registry, &group.channel) {
                continue;
            }
            let channel = plain(&group.channel);
            checks.push(Finding::problem(
                CHECK,
                format!(
                    "{} over {channel} {what}, since {:.0}",
                    counted(group.count, "delivery", "deliveries"),
                    group.since
                ),
                format!(
                    "check that a worker that links {channel} is running, and read its log; to start one: `worker`"
                ),
            ));
        }
    }
    if checks.is_empty() {
        let seconds = late.as_secs();
        checks.push(Finding::ok(
            CHECK,
            format!("nothing is overdue by more than {seconds} s"),
        ));
    }
    Ok(checks)
}

statement! {
    /// How long ago the oldest remaining delivery ended.
    OLDEST = "\
        select 'any' as channel, count(*) as count, coalesce({micros(min(finished_at))}, 0) as since from \
        (select finished_at from {campanile}notification_deliveries where finished_at is not null order by finished_at limit 1) as oldest"
}

/// Whether finished deliveries past their retention are deleted.
pub(super) async fn finished(
    database: &Database,
    kept: Duration,
) -> Result<Vec<Finding>, StoreError> {
    const CHECK: &str = "finished";
    let rows = groups(database, OLDEST.on(database)).await?;
    let Some(oldest) = rows.first().filter(|oldest| oldest.count > 0) else {
        return Ok(vec![Finding::ok(CHECK, "no delivery has ended yet")]);
    };
    let age = Timestamp::now().duration_since(oldest.since);
    let days = age.as_hours() / 24;
    let message = format!(
        "the oldest delivery that is kept ended {}, at {:.0}",
        match days {
            0 => "less than a day ago".to_owned(),
            1 => "a day ago".to_owned(),
            days => format!("{days} days ago"),
        },
        oldest.since
    );
    Ok(vec![if age.unsigned_abs() > kept {
        Finding::warning(
            CHECK,
            message,
            "run `prune`, and check that a worker runs without `--no-prune`; if it should be kept that long: `doctor --kept 90d`",
        )
    } else {
        Finding::ok(CHECK, message)
    }])
}

/// Deliveries that wait for a binary that links their channel, or for an operator.
pub(super) async fn parked(
    database: &Database,
    registry: Option<&Registry>,
) -> Result<Vec<Finding>, StoreError> {
    const CHECK: &str = "parked";
    let mut checks = Vec::new();
    for group in groups(database, WAITING.on(database)).await? {
        if !is_linked(registry, &group.channel) {
            let channel = plain(&group.channel);
            let text = told(&group, "waiting, and this binary does not link the channel");
            let fix = format!(
                "run a worker that links it: `use campanile_{channel} as _;` in the source of its binary, or the crate that registers `{channel}`"
            );
            checks.push(Finding::warning(CHECK, text, fix));
        }
    }
    for group in groups(database, BLOCKED.on(database)).await? {
        let (text, channel) = (
            told(
                &group,
                "blocked: they cannot be read or recorded, or no running worker knows their event or channel",
            ),
            plain(&group.channel),
        );
        let fix = format!(
            "deploy workers that are as new as the binary that dispatched; `deliveries list --channel {channel} --state blocked`"
        );
        checks.push(Finding::warning(CHECK, text, fix));
    }
    for group in groups(database, DEAD.on(database)).await? {
        let (text, channel) = (
            told(&group, DeliveryState::Dead.as_str()),
            plain(&group.channel),
        );
        let fix = format!(
            "find the cause: `dead list --channel {channel}`; when it is fixed: `dead redrive --channel {channel} --yes`"
        );
        checks.push(Finding::warning(CHECK, text, fix));
    }
    if checks.is_empty() {
        checks.push(Finding::ok(
            CHECK,
            "no delivery is dead, blocked, or of a channel that is not linked",
        ));
    }
    Ok(checks)
}

fn told(group: &Waiting, what: &str) -> String {
    format!(
        "{} over {} {what}, the oldest of {:.0}",
        counted(group.count, "delivery", "deliveries"),
        plain(&group.channel),
        group.since
    )
}

/// Whether this binary could deliver it; without a registry that is unknown, and the registry's own problems are reported.
fn is_linked(registry: Option<&Registry>, channel: &str) -> bool {
    registry.is_none_or(|registry| channels::remote(registry).contains(&channel))
}

/// The groups that are late. A simple query, as all of the doctor's, has no parameters.
async fn late_groups(
    database: &Database,
    statement: &str,
    late: Duration,
) -> Result<Vec<Waiting>, StoreError> {
    let late = late.as_micros().to_string();
    let statement = database.sql(&statement.replace("LATE", &late));
    groups(database, statement).await
}

async fn groups(
    database: &Database,
    statement: impl sqlx::SqlSafeStr + Send,
) -> Result<Vec<Waiting>, StoreError> {
    let waiting: Result<_, sqlx::Error> = each_connection!(database, |connection| {
        let rows = sqlx::raw_sql(statement).fetch_all(&mut *connection).await?;
        let rows = rows.iter().map(|row| {
            let (count, since): (i64, i64) = (row.try_get("count")?, row.try_get("since")?);
            Ok(Waiting {
                channel: row.try_get("channel")?,
                count: u64::try_from(count).unwrap_or_default(),
                since: Timestamp::from_microsecond(since).unwrap_or(Timestamp::MAX),
            })
        });
        rows.collect()
    });
    Ok(waiting?)
}
