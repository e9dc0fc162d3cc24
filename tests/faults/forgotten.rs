//! F34: users who are forgotten while deliveries are in flight.

use campanile::Database;
use campanile_tests::provider::Behaviour;
use campanile_tests::{Kind, both_databases};
use sqlx::{Connection as _, PgConnection};

use crate::pruned::Pruning;
use crate::stage::{Stage, bell};

/// The tables, each with the expression that converts one of its rows to text.
async fn tables(stage: &Stage) -> Vec<(String, String)> {
    let tables = match stage.database.kind {
        Kind::Postgres => {
            "select 'campanile.' || table_name || ' line::text' from information_schema.tables where table_schema = 'campanile'"
        }
        // The log of windows belongs to the test.
        Kind::Sqlite => {
            "select name || ' ' || (select group_concat('coalesce(cast(' || field.name || ' as text), '''')', ' || '' '' || ') \
             from pragma_table_info(sqlite_master.name) as field) from sqlite_master \
             where type = 'table' and name not like 'sqlite%' and name <> 'window_log'"
        }
    };
    let lines = stage.database.lines(tables).await;
    let split = |line: &String| {
        let (table, text) = line.split_once(' ').unwrap();
        (table.to_owned(), text.to_owned())
    };
    lines.iter().map(split).collect()
}

/// The tables in which a user occurs, in any column.
async fn tables_with(stage: &Stage, user: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (table, text) in tables(stage).await {
        let rows = format!(
            "select count(*) from {table} as line where replace({text}, '{user}', '') <> {text}"
        );
        if stage.database.number(&rows).await > 0 {
            found.push(table);
        }
    }
    found
}

/// Blocks erasures where they delete dispatches, with a snapshot that was taken before.
const HOLD_ERASURES: &str = "\
    create function hold_erasure() returns trigger language plpgsql as $$ begin \
        if current_setting('application_name') = 'forgetting' then perform pg_advisory_xact_lock_shared(34, 0); end if; \
        return null; end $$; \
    create trigger hold_erasure before delete on {campanile}notification_dispatches \
        for each statement execute function public.hold_erasure()";

/// The erasures that are blocked, or wait for another one.
const MET: &str = "\
    select count(*) from pg_stat_activity as one where datname = current_database() and application_name = 'forgetting' \
        and wait_event_type = 'Lock' and (wait_event = 'advisory' or exists \
            (select 1 from pg_stat_activity as other where other.datname = current_database() \
                and other.application_name = 'forgetting' and other.pid = any(pg_blocking_pids(one.pid))))";

/// Forgets two users, and returns how many dispatches were erased. On Postgres, where it is possible, neither ends before the
/// other has started.
async fn forget_at_once(stage: &Stage, users: [&'static str; 2]) -> u64 {
    if stage.database.kind == Kind::Sqlite {
        let operations = stage.dispatcher.operations();
        let [one, other] = users.map(|user| operations.forget_user(user));
        let (one, other) = tokio::join!(one, other);
        return one.unwrap().dispatches + other.unwrap().dispatches;
    }
    stage.database.execute(HOLD_ERASURES).await;
    let mut gate = PgConnection::connect(&stage.database.url).await.unwrap();
    let lock = sqlx::query("select pg_advisory_lock(34, 0)");
    lock.execute(&mut gate).await.unwrap();
    let first = if stage.database.url.contains('?') {
        '&'
    } else {
        '?'
    };
    let url = format!("{}{first}application_name=forgetting", stage.database.url);
    let own = Database::connect(&url).await.unwrap();
    let dispatcher = stage.outside.builder(own).build().unwrap();
    let erasures = users.map(|user| {
        let dispatcher = dispatcher.clone();
        tokio::spawn(async move { dispatcher.operations().forget_user(user).await.unwrap() })
    });
    let met = async || stage.database.number(MET).await == 2;
    stage.eventually("two are forgotten at once", met).await;
    gate.close().await.unwrap();
    let mut erased = 0;
    for erasure in erasures {
        erased += erasure.await.unwrap().dispatches;
    }
    erased
}

/// Rows that refer to deleted rows.
const ORPHANS: [&str; 4] = [
    "select count(*) from {campanile}notification_attempts as line where not exists \
        (select 1 from {campanile}notification_deliveries as delivery where delivery.id = line.delivery_id)",
    "select count(*) from {campanile}notification_held_windows as held where not exists \
        (select 1 from {campanile}notification_deliveries as delivery where delivery.id = held.delivery_id)",
    "select count(*) from {campanile}notification_deliveries as delivery where not exists \
        (select 1 from {campanile}notification_dispatches as dispatch where dispatch.id = delivery.dispatch_id)",
    "select count(*) from {campanile}notification_dispatches as dispatch where not exists \
        (select 1 from {campanile}notification_deliveries as delivery where delivery.dispatch_id = dispatch.id)",
];

both_databases! {
    /// F34.
    async fn a_user_forgotten_with_deliveries_in_flight_leaves_nothing_behind(stage: Stage) {
        stage.people(4).await;
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(bell("in flight", 4)).await;
        let worker = stage.worker();
        stage.provider.asked(0, 4).await;
        let _ = stage.enqueue(bell("waiting", 4)).await;
        stage.told().forgotten.push("u_1".into());
        stage.dispatcher.operations().forget_user("u_1").await.unwrap();
        stage.provider.always(Behaviour::Accept);
        stage.provider.release();
        stage.all_ended().await;
        worker.terminate().await;
        stage.ends_well().await;
        for (table, column) in [
            ("notifications", "user_id"),
            ("notification_dedup", "recipient_user_id"),
            ("notification_deliveries", "user_id"),
            ("notification_addresses", "user_id"),
        ] {
            let left = format!("select count(*) from {{campanile}}{table} where {column} = $1");
            assert_eq!(stage.number_of(&left, "u_1").await, 0, "{table}");
        }
        let orphans = "select count(*) from {campanile}notification_attempts as line where not exists \
            (select 1 from {campanile}notification_deliveries as delivery where delivery.id = line.delivery_id)";
        assert_eq!(stage.database.number(orphans).await, 0);
        assert_eq!(stage.in_state("delivered").await, 2 * 2 * 3);
    }

    /// F34. Nothing stays of a dispatch to only these two users, whichever of them is forgotten first.
    async fn two_users_of_one_dispatch_forgotten_concurrently_during_a_prune_leave_nothing_behind(stage: Stage) {
        stage.people(4).await;
        let worker = stage.worker();
        for n in 0..20 {
            let _ = stage.enqueue(bell(&format!("long ago {n}"), 4)).await;
        }
        stage.all_ended().await;
        stage.pass_time(2 * 24 * 3_600).await;
        let seen = stage.provider.ledger().entries.len();
        stage.provider.always(Behaviour::AcceptThenHold);
        let _ = stage.enqueue(bell("in flight", 4)).await;
        stage.provider.asked(seen, 4).await;
        let _ = stage.enqueue(bell("waiting", 4)).await;
        for n in 0..20 {
            let _ = stage.enqueue(bell(&format!("to the two {n}"), 0).to(["u_1", "u_2"])).await;
        }
        for user in ["u_1", "u_2"] {
            assert!(tables_with(&stage, user).await.len() >= 4);
            stage.told().forgotten.push(user.into());
        }
        let pruning = Pruning::start(&stage);
        let dispatches = forget_at_once(&stage, ["u_1", "u_2"]).await;
        // Those to only the two, erased by one or the other; and the old ones that the prune had left.
        assert!((20..=40).contains(&dispatches), "{dispatches}");
        stage.provider.always(Behaviour::Accept);
        stage.provider.release();
        stage.all_ended().await;
        worker.terminate().await;
        let pruned = pruning.end().await;
        assert!(pruned.deliveries > 0, "{pruned:?}");
        stage.ends_well().await;
        for user in ["u_1", "u_2"] {
            assert_eq!(tables_with(&stage, user).await, Vec::<String>::new(), "{user}");
        }
        for orphans in ORPHANS {
            assert_eq!(stage.database.number(orphans).await, 0, "{orphans}");
        }
        // To the other two users, in flight and waiting.
        assert_eq!(stage.database.count("notification_dispatches").await, 2);
        assert_eq!(stage.in_state("delivered").await, 2 * 2 * 2);
    }
}
