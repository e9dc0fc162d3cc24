//! The checks that only **Postgres** has. They use separate connections, because the behaviour of a pooler only shows between two
//! of them.

use std::collections::BTreeSet;
use std::time::Duration;

use campanile::StoreError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{Arguments, Finding, Status, in_time};
use crate::table::plain;

/// How long a notification may take.
const NOTIFIED_WITHIN: Duration = Duration::from_secs(2);

/// One name for every doctor: a pooler may keep listening on it forever.
const NOTIFICATIONS: &str = "campanile_doctor";

pub(super) async fn checks(arguments: &Arguments, pool: &PgPool) -> Vec<Finding> {
    let options = pool.connect_options();
    let mut checks = in_time("pooler", pooler(&options)).await;
    let pooler = checks
        .iter()
        .map(|check| check.status)
        .find(|check| *check != Status::Ok);
    // LISTEN would stay active on a backend, and disturb the next client that uses it.
    if checks.iter().all(|check| check.status == Status::Ok) {
        checks.extend(in_time("listen", listen(&options)).await);
    }
    let max_open = arguments.open_transaction;
    checks.extend(in_time("transactions", transactions(pool, max_open)).await);
    checks.extend(in_time("isolation", isolation(pool, pooler.unwrap_or(Status::Ok))).await);
    checks
}

/// The isolation level at which sessions start. At another level than its own, campanile works but takes longer; behind a pooler
/// that assigns backends per transaction it does not work, because the level that it sets stays with the backend.
async fn isolation(pool: &PgPool, pooler: Status) -> Result<Vec<Finding>, StoreError> {
    const CHECK: &str = "isolation";
    const FIX: &str = "for the role of campanile's pool: `alter role .. set default_transaction_isolation = 'read committed'`";
    let row = sqlx::raw_sql("select current_setting('default_transaction_isolation')")
        .fetch_one(pool)
        .await?;
    let level: String = row.try_get(0)?;
    Ok(vec![if level == "read committed" {
        Finding::ok(CHECK, "sessions start at `read committed`")
    } else if pooler == Status::Ok {
        let message = format!(
            "sessions start at `{level}`: campanile sets each to `read committed` and back, with two more round trips"
        );
        Finding::warning(CHECK, message, FIX)
    } else {
        let message = format!(
            "sessions start at `{level}`, behind a pooler where the level that campanile sets stays with a backend: calls are refused \
             now and then, and the application's transactions may run at `read committed`"
        );
        Finding::problem(CHECK, message, FIX)
    }])
}

/// Two sessions that are open at the same time have their own backends for as long as they are open, unless a pooler assigns
/// backends per transaction.
async fn pooler(options: &PgConnectOptions) -> Result<Vec<Finding>, StoreError> {
    let mut sessions = [
        PgConnection::connect_with(options).await?,
        PgConnection::connect_with(options).await?,
    ];
    let findings = judge(&mut sessions).await?;
    for session in sessions {
        session.close().await?;
    }
    Ok(findings)
}

async fn judge(sessions: &mut [PgConnection; 2]) -> Result<Vec<Finding>, sqlx::Error> {
    const CHECK: &str = "pooler";
    if !share_backends(sessions).await? {
        return Ok(vec![Finding::ok(CHECK, "each session keeps its backend")]);
    }
    let pooler = if keep_statements(sessions).await? {
        Finding::warning(
            CHECK,
            "a pooler assigns backends per transaction, as PgBouncer does with `pool_mode = transaction`: the migrators' lock \
             may stay behind",
            "run `migrate` on a URL of the server itself, or of a pool with `pool_mode = session`",
        )
    } else {
        Finding::problem(
            CHECK,
            "a pooler assigns backends per transaction, as PgBouncer does with `pool_mode = transaction`, and loses prepared \
             statements: everything will fail now and then",
            "set `pool_mode = session`, or connect to the server itself, or run PgBouncer 1.21 or newer with \
             `max_prepared_statements` above 0",
        )
    };
    let listen = Finding::warning(
        "listen",
        "no notification arrives through such a pooler: workers find new deliveries when they poll, about every second",
        "give workers a URL of the server itself, or of a pool with `pool_mode = session`",
    );
    Ok(vec![pooler, listen])
}

async fn share_backends(sessions: &mut [PgConnection; 2]) -> Result<bool, sqlx::Error> {
    let mut backends = [BTreeSet::new(), BTreeSet::new()];
    // In turns of different length: otherwise a round-robin pooler could give each session the same backend by chance.
    for session in [0, 0, 1, 1, 0, 1, 0] {
        let row = sqlx::raw_sql("select pg_backend_pid()")
            .fetch_one(&mut sessions[session])
            .await?;
        backends[session].insert(row.try_get::<i32, _>(0)?);
    }
    Ok(backends.iter().any(|seen| seen.len() > 1) || !backends[0].is_disjoint(&backends[1]))
}

/// Whether each session can prepare a statement: both use the same name for it, and perhaps the same backend.
async fn keep_statements(sessions: &mut [PgConnection; 2]) -> Result<bool, sqlx::Error> {
    for session in sessions {
        match sqlx::query("select $1::int4")
            .bind(1)
            .execute(session)
            .await
        {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.message().contains("prepared statement") => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Whether a notification from one session arrives at another.
async fn listen(options: &PgConnectOptions) -> Result<Vec<Finding>, StoreError> {
    const CHECK: &str = "listen";
    let pool = PgPoolOptions::new().max_connections(2);
    let pool = pool.connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(NOTIFICATIONS).await?;
    let payload = uuid::Uuid::now_v7();
    let notify = AssertSqlSafe(format!("notify {NOTIFICATIONS}, '{payload}'"));
    sqlx::raw_sql(notify).execute(&pool).await?;
    let arrival = async {
        loop {
            let notification = listener.recv().await?;
            // Another doctor may be running.
            if notification.payload() == payload.to_string() {
                return Ok::<_, sqlx::Error>(());
            }
        }
    };
    let arrived = tokio::time::timeout(NOTIFIED_WITHIN, arrival).await;
    drop(listener);
    pool.close().await;
    Ok(vec![match arrived {
        Ok(arrived) => {
            arrived?;
            Finding::ok(CHECK, "a notification from one session arrives at another")
        }
        Err(_) => Finding::warning(
            CHECK,
            format!(
                "no notification arrives within {} seconds: workers find new deliveries when they poll, about every second",
                NOTIFIED_WITHIN.as_secs()
            ),
            "give workers a URL of the server itself, or of a pool with `pool_mode = session`",
        ),
    }])
}

const OLDEST: &str = "\
    select pid, coalesce(application_name, '') as application, coalesce(state, '') as state, \
        extract(epoch from clock_timestamp() - xact_start)::float8 as seconds \
    from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
        and backend_type = 'client backend' and xact_start is not null \
    order by xact_start limit 1";

const OLDEST_PREPARED: &str = "\
    select gid, extract(epoch from clock_timestamp() - prepared)::float8 as seconds \
    from pg_prepared_xacts where database = current_database() order by prepared limit 1";

const SEES_ALL: &str = "select pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all";

/// A transaction that stays open holds locks and windows, and keeps dead rows from being vacuumed.
async fn transactions(pool: &PgPool, max_open: Duration) -> Result<Vec<Finding>, StoreError> {
    const CHECK: &str = "transactions";
    let max_open = max_open.as_secs_f64();
    let mut connection = pool.acquire().await?;
    let mut checks = Vec::new();
    let oldest = sqlx::raw_sql(OLDEST)
        .fetch_optional(&mut *connection)
        .await?;
    let mut message = "none is open in other sessions".to_owned();
    if let Some(row) = oldest {
        let (pid, seconds): (i32, f64) = (row.try_get("pid")?, row.try_get("seconds")?);
        message = format!("the oldest is open for {seconds:.1} s");
        if seconds > max_open {
            let (application, state): (String, String) =
                (row.try_get("application")?, row.try_get("state")?);
            checks.push(Finding::warning(
                CHECK,
                format!(
                    "one is open for {seconds:.0} s: process {pid}, application `{}`, {}; it holds its locks, and keeps dead rows from being vacuumed",
                    plain(&application),
                    plain(&state)
                ),
                format!("when you know what it is: `select pg_terminate_backend({pid});`"),
            ));
        }
    }
    let prepared = sqlx::raw_sql(OLDEST_PREPARED)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = prepared {
        let (gid, seconds): (String, f64) = (row.try_get("gid")?, row.try_get("seconds")?);
        if seconds > max_open {
            let gid = plain(&gid).replace('\'', "''");
            checks.push(Finding::warning(
                CHECK,
                format!("one is prepared for {seconds:.0} s and belongs to no session: '{gid}'"),
                format!("when you know what it is: `rollback prepared '{gid}';`"),
            ));
        }
    }
    if checks.is_empty() {
        let row = sqlx::raw_sql(SEES_ALL).fetch_one(&mut *connection).await?;
        if !row.try_get::<bool, _>("sees_all")? {
            message.push_str(" (of this user's own; `grant pg_read_all_stats` to see all)");
        }
        checks.push(Finding::ok(CHECK, message));
    }
    Ok(checks)
}
