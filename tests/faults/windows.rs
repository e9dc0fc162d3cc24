//! The history of every window, logged by triggers in the database, and the oracle's checks of it: O3 and O4, to the microsecond,
//! for events of every channel, and also after the window was pruned.

use campanile_tests::{Kind, TestDatabase};

use crate::oracle::count;
use crate::stage::{Stage, Told};

const LOG_ON_POSTGRES: &str = "\
    create table window_log (what text not null, event_type text not null, user_id text not null, \
        notification uuid, fired_at timestamptz, replaced uuid, ended_at timestamptz, \
        at timestamptz not null default clock_timestamp()); \
    create index window_log_of on window_log (notification); \
    create function log_window() returns trigger language plpgsql as $$ begin \
        if tg_op = 'INSERT' then \
            insert into public.window_log values \
                ('opened', new.event_type, new.recipient_user_id, new.notification_id, new.fired_at); \
        elsif tg_op = 'DELETE' then \
            insert into public.window_log values \
                ('closed', old.event_type, old.recipient_user_id, null, null, old.notification_id, old.window_ends_at); \
        elsif new.notification_id <> old.notification_id then \
            insert into public.window_log values \
                ('renewed', new.event_type, new.recipient_user_id, new.notification_id, new.fired_at, \
                old.notification_id, old.window_ends_at); \
        end if; \
        return null; end $$; \
    create trigger log_window after insert or update or delete on {campanile}notification_dedup \
        for each row execute function log_window()";

const LOG_ON_SQLITE: &str = "\
    create table window_log (what text not null, event_type text not null, user_id text not null, \
        notification text, fired_at integer, replaced text, ended_at integer, at integer not null); \
    create index window_log_of on window_log (notification); \
    create trigger log_opened after insert on campanile_notification_dedup begin \
        insert into window_log values \
            ('opened', new.event_type, new.recipient_user_id, new.notification_id, new.fired_at, null, null, {now}); end; \
    create trigger log_closed after delete on campanile_notification_dedup begin \
        insert into window_log values \
            ('closed', old.event_type, old.recipient_user_id, null, null, old.notification_id, old.window_ends_at, {now}); \
        end; \
    create trigger log_renewed after update on campanile_notification_dedup when new.notification_id <> old.notification_id begin \
        insert into window_log values \
            ('renewed', new.event_type, new.recipient_user_id, new.notification_id, new.fired_at, \
            old.notification_id, old.window_ends_at, {now}); end";

/// From now on the database logs every window that is opened, renewed or closed. A window is not renewed if only its times are
/// moved, by a test that simulates the passage of time.
pub(crate) async fn log_windows(database: &TestDatabase) {
    let log = match database.kind {
        Kind::Postgres => LOG_ON_POSTGRES,
        Kind::Sqlite => LOG_ON_SQLITE,
    };
    database.execute(log).await;
}

/// O3: no window is renewed before it has ended.
pub(crate) async fn o3_admissions_are_a_window_apart(stage: &Stage) -> Vec<String> {
    let early = "select count(*) from window_log where what = 'renewed' and fired_at < ended_at";
    count(
        stage,
        "O3: windows that were renewed before their end",
        early,
    )
    .await
}

/// O4: no window without its notification, no window of a notification that the system failed to deliver, no notification that
/// was not admitted by a window, and none whose window was closed before its end.
pub(crate) async fn o4_windows_and_notifications_match(stage: &Stage, told: &Told) -> Vec<String> {
    let events = stage.dispatcher.registry().events();
    let windowed = events.filter(|event| !event.dedup.window.is_zero());
    let windowed = texts(windowed.map(|event| event.event_type));
    let forgotten = texts(told.forgotten.iter().map(String::as_str));
    let known = |id: &str| HAS_ROWS.replace("{id}", id);
    let reached = |id: &str| REACHED.replace("{id}", id);
    let held = "select count(*) from {campanile}notification_dedup as held";
    let mut wrong = Vec::new();
    for (what, statement) in [
        (
            "windows without a notification",
            format!("{held} where not {}", known("held.notification_id")),
        ),
        (
            "windows of notifications that the system failed to deliver",
            format!(
                "{held} where {} and not {}",
                FAILED.replace("{id}", "held.notification_id"),
                reached("held.notification_id")
            ),
        ),
        (
            "notifications that no window admitted",
            format!(
                "select count(*) from ({NOTIFICATIONS}) as notification where event_type in ({windowed}) \
                 and not exists (select 1 from window_log as line where line.notification = notification.id)"
            ),
        ),
        (
            "notifications whose window was closed before its end",
            format!(
                "select count(*) from window_log as line where line.what = 'closed' and line.at < line.ended_at \
                 and line.user_id not in ({forgotten}) and {}",
                reached("line.replaced")
            ),
        ),
    ] {
        wrong.extend(count(stage, &format!("O4: {what}"), &statement).await);
    }
    wrong
}

/// Texts that follow `in`.
fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let texts = texts.map(|text| format!("'{text}'"));
    let texts: Vec<_> = texts.chain(["''".to_owned()]).collect();
    texts.join(", ")
}

const NOTIFICATIONS: &str = "\
    select id, event_type from {campanile}notifications union \
    select delivery.notification_id, dispatch.event_type from {campanile}notification_deliveries as delivery \
    join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id";

const HAS_ROWS: &str = "\
    ({id} in (select id from {campanile}notifications) \
    or {id} in (select notification_id from {campanile}notification_deliveries))";

/// The notification has reached its recipient, may have reached it, or may still reach it.
const REACHED: &str = "\
    ({id} in (select id from {campanile}notifications) \
    or {id} in (select notification_id from {campanile}notification_deliveries \
        where has_local or state in ('pending', 'running', 'delivered', 'unknown', 'blocked')))";

/// The system failed on a channel, so the recipient was not notified.
const FAILED: &str = "\
    {id} in (select notification_id from {campanile}notification_deliveries where state in ('dead', 'expired', 'cancelled'))";
