//! Every statement is valid on the migrated tables, and the hot ones use the indexes that were created for them.

use campanile::database::Pool;
use campanile_cli as _;
use campanile_tests::App;
use campanile_tests::both_databases;
use campanile_tests::database::{Kind, run};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

/// Prepares a statement under its own name. A parameter whose type cannot be inferred is a text, as it is bound.
async fn prepare(connection: &mut PgConnection, sql: &str) -> Result<usize, sqlx::Error> {
    let mut types: Vec<&str> = Vec::new();
    loop {
        let list = if types.is_empty() {
            String::new()
        } else {
            format!("({})", types.join(", "))
        };
        let prepare = format!("prepare one {list} as {sql}");
        let prepared = sqlx::raw_sql(AssertSqlSafe(prepare));
        let Err(error) = prepared.execute(&mut *connection).await else {
            break;
        };
        let message = error
            .as_database_error()
            .map(|error| error.message().to_owned())
            .unwrap_or_default();
        let untold = message.strip_prefix("could not determine data type of parameter $");
        let Some(untold) = untold.and_then(|number| number.parse::<usize>().ok()) else {
            return Err(error);
        };
        types.resize(types.len().max(untold), "unknown");
        types[untold - 1] = "text";
    }
    let count =
        "select cardinality(parameter_types) from pg_prepared_statements where name = 'one'";
    let parameters: i32 = sqlx::query_scalar(count)
        .fetch_one(&mut *connection)
        .await?;
    Ok(usize::try_from(parameters).unwrap())
}

async fn forget(connection: &mut PgConnection) {
    sqlx::raw_sql("deallocate one")
        .execute(connection)
        .await
        .unwrap();
}

/// The indexes that a statement uses, whatever its parameters are.
async fn plan(connection: &mut PgConnection, sql: &str) -> String {
    let parameters = prepare(connection, sql).await.unwrap();
    let nothing = vec!["null"; parameters].join(", ");
    let explain = format!("explain execute one ({nothing})");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    forget(connection).await;
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// Enough rows that a plan without an index would be worse.
const FILL: &[&str] = &[
    "insert into campanile.notification_dispatches (id, event_type, category, dedup_key, payload, content, deliveries, created_at) \
     select gen_random_uuid(), 'a.b.c', 'billing', n::text, '{}', '{}', 4, now() from generate_series(1, 5000) as n",
    "insert into campanile.notification_deliveries \
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, lease_until, worker, created_at) \
     select gen_random_uuid(), gen_random_uuid(), dispatch.id, 'u_' || n, 'email', false, \
        case n when 1 then 'pending' else 'running' end, 1, now(), case n when 1 then null else now() end, \
        case n when 1 then null else gen_random_uuid() end, now() \
     from campanile.notification_dispatches as dispatch cross join generate_series(1, 4) as n",
    "insert into campanile.notification_dedup \
        (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id) \
     select 'a.b.c', n::text, 'u_' || n, now(), now(), gen_random_uuid() from generate_series(1, 10000) as n",
    "insert into campanile.user_notification_preferences (user_id, category, channel, enabled, updated_at) \
     select 'u_' || n, 'billing', 'email', false, now() from generate_series(1, 10000) as n",
    "analyze",
];

/// The statements that dispatches, workers and inboxes run frequently, with their indexes.
const HOT: &[(&str, &[&str])] = &[
    (
        "campanile::store::claim::take::DUE_OF_ALL",
        &[
            "notification_deliveries_due",
            "notification_deliveries_leased",
            "notification_deliveries_batch",
        ],
    ),
    (
        "campanile::store::lease::LOOK",
        &[
            "notification_deliveries_pkey",
            "notification_dispatches_pkey",
            "user_notification_preferences_pkey",
        ],
    ),
    (
        "campanile::store::lease::RENEW",
        &["notification_deliveries_pkey"],
    ),
    (
        "campanile::store::settle::SETTLE_AND_LOG",
        &["notification_deliveries_pkey"],
    ),
    ("the write", &["notification_dedup_pkey"]),
    ("the write in a transaction", &["notification_dedup_pkey"]),
    (
        "campanile::store::write::READ_CHOICES",
        &["user_notification_preferences_pkey"],
    ),
    ("campanile_inbox::feed::ALL_HEAD", &["notifications_pkey"]),
    (
        "campanile_inbox::counts::COUNT_UNREAD",
        &["notifications_unread"],
    ),
];

/// The tables that are always read by an index, whatever they contain.
const TABLES: [&str; 4] = [
    "notification_deliveries",
    "notification_dedup",
    "notifications",
    "user_notification_preferences",
];

both_databases! {
    async fn every_statement_names_existing_tables_and_columns(app: App) {
        let statements = campanile::__private::statements(&app.dispatcher);
        for part in ["campanile::store::", "campanile::database::", "campanile_inbox::", "campanile_email::", "campanile_cli::", "the write"] {
            let is_there = statements.iter().any(|(name, _)| name.starts_with(part));
            assert!(is_there || part == "campanile::database::" && app.database.kind == Kind::Sqlite, "{part}");
        }
        assert!(statements.len() > 100, "{}", statements.len());
        let mut wrong = Vec::new();
        match app.database.database.pool() {
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                for (name, sql) in &statements {
                    match prepare(&mut connection, sql).await {
                        Ok(_) => forget(&mut connection).await,
                        Err(error) => wrong.push(format!("{name}: {error}: {sql}")),
                    }
                }
            }
            Pool::Sqlite(pool) => {
                for (name, sql) in &statements {
                    let prepared = sqlx::Executor::prepare(pool, sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(sql.clone())));
                    if let Err(error) = prepared.await {
                        wrong.push(format!("{name}: {error}: {sql}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn the_hot_statements_use_their_indexes() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        app.database.fill_inbox(10_000).await;
        let Pool::Postgres(pool) = app.database.database.pool() else {
            panic!("it is on Postgres");
        };
        let statements = campanile::__private::statements(&app.dispatcher);
        let mut connection = pool.acquire().await.unwrap();
        for fill in FILL {
            let filled = sqlx::raw_sql(*fill).execute(&mut *connection);
            filled.await.unwrap();
        }
        // A plan for null would read nothing.
        let settings = "set enable_seqscan = off; set plan_cache_mode = force_generic_plan";
        let set = sqlx::raw_sql(settings).execute(&mut *connection);
        set.await.unwrap();
        for (name, indexes) in HOT {
            let found = statements.iter().find(|(listed, _)| listed == name);
            let (_, sql) = found.unwrap_or_else(|| panic!("{name}"));
            let plan = plan(&mut connection, sql).await;
            for index in *indexes {
                assert!(plan.contains(index), "{name} and `{index}`: {plan}");
            }
            for table in TABLES {
                let scan = format!("Seq Scan on {table}");
                assert!(!plan.contains(&scan), "{name}: {plan}");
            }
        }
        // What looks for the deliveries of one notification reads few of them, without being forced.
        let unforced = sqlx::raw_sql("set enable_seqscan = on").execute(&mut *connection);
        unforced.await.unwrap();
        for name in [
            "SIBLINGS_ON_POSTGRES",
            "RELEASE",
            "NOTE_HELD",
            "FORGET_RELEASED",
        ] {
            let name = format!("campanile::store::release::{name}");
            let found = statements.iter().find(|(listed, _)| *listed == name);
            let (_, sql) = found.unwrap_or_else(|| panic!("{name}"));
            let plan = plan(&mut connection, sql).await;
            assert!(
                !plan.contains("Seq Scan on notification_deliveries"),
                "{name}: {plan}"
            );
        }
        connection.close().await.unwrap();
    });
}
