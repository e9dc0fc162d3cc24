//! The raw limit on SQLite.

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{Row as _, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::Rows;
use crate::Result;
use crate::contenders::Contender;
use crate::contenders::sqlite::{CLAIM, FEED, INVOICE, MARK_ALL_READ, MARK_ALL_SEEN, now, number};
use crate::host::{CATEGORY, EVENT, Job, send};
use crate::stage::Place;

const BEGIN: &str = "BEGIN IMMEDIATE";

/// `$1` of each statement with rows: an array of user, notification and delivery.
const WINDOWS: &str = concat!(
    "insert into campanile_notification_dedup \
        (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id) \
    select $2, $3, value ->> 0, ",
    now!(),
    ", ",
    now!(),
    " + 600000000, value ->> 1 from json_each($1)"
);

const ITEMS: &str = concat!(
    "insert into campanile_notifications \
        (id, user_id, event_type, category, subject_id, title, body, payload, created_at, created_in, changed_in) \
    select value ->> 1, value ->> 0, $2, $3, $4, $5, $6, $7, ",
    now!(),
    ", number, number \
    from json_each($1), (select ",
    number!(),
    " as number)"
);

const DISPATCH: &str = concat!(
    "insert into campanile_notification_dispatches (id, event_type, category, subject_id, dedup_key, payload, content, deliveries, created_at) \
    values ($1, $2, $3, $4, $4, $5, $6, 1, ",
    now!(),
    ")"
);

const QUEUED: &str = concat!(
    "insert into campanile_notification_deliveries \
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, created_at) \
    select value ->> 2, value ->> 1, $2, value ->> 0, 'wire', 1, 'pending', 0, ",
    now!(),
    ", ",
    now!(),
    " from json_each($1)"
);

const LEASED: &str = concat!(
    "insert into campanile_notification_deliveries \
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, created_at, \
        first_attempt_at, lease_until, worker, claim) \
    select value ->> 2, value ->> 1, $2, value ->> 0, 'wire', 1, 'running', 1, ",
    now!(),
    ", ",
    now!(),
    ", ",
    now!(),
    ", ",
    now!(),
    " + 30000000, $2, $2 from json_each($1)"
);

const ADDRESSES: &str = "\
    select address from campanile_notification_addresses where channel = 'wire' and user_id in (select value from json_each($1))";

const FINISHED: &str = concat!(
    "update campanile_notification_deliveries \
    set state = 'delivered', attempt = 1, first_attempt_at = ",
    now!(),
    ", finished_at = ",
    now!(),
    ", \
        lease_until = null, worker = null \
    where id in (select value from json_each($1))"
);

const ATTEMPTS: &str = concat!(
    "insert into campanile_notification_attempts (delivery_id, attempt, started_at, took_micros, outcome, worker) \
    select value, 1, ",
    now!(),
    ", 1, 'accepted', $2 from json_each($1)"
);

const COUNTS: &str = "\
    select (select count(*) from (select 1 from campanile_notifications \
            where user_id = $1 and archived = 0 and read_at is null limit 100) as unread), \
        (select count(*) from (select 1 from campanile_notifications \
            where user_id = $1 and archived = 0 and read_at is null and seen_at is null limit 100) as unseen), \
        (select count(*) from (select 1 from campanile_notifications where user_id = $1 and archived = 0 limit 100) as total)";

pub(crate) struct Limit {
    /// Of one connection, which the turn is for; and as many as the others have, to read.
    writer: SqlitePool,
    turn: Mutex<()>,
    readers: SqlitePool,
}

impl Limit {
    pub(crate) async fn open(place: &Place) -> Result<Self> {
        Ok(Self {
            writer: place.open_sqlite(1).await?,
            turn: Mutex::default(),
            readers: place.open_sqlite(crate::stage::CONNECTIONS).await?,
        })
    }

    async fn write(&self, job: &Job, deliveries: &'static str, invoice: bool) -> Result<Rows> {
        let rows = Rows::of(job);
        let each = rows
            .users
            .iter()
            .zip(&rows.notifications)
            .zip(&rows.deliveries);
        let each =
            each.map(|((user, notification), delivery)| json!([user, notification, delivery]));
        let each = Value::Array(each.collect()).to_string();
        let content = &rows.content;
        let _turn = self.turn.lock().await;
        let mut transaction = self.writer.begin_with(BEGIN).await?;
        if invoice {
            let insert = sqlx::query(INVOICE).bind(&job.subject).bind("1,200 EUR");
            insert.execute(&mut *transaction).await?;
        }
        let windows = sqlx::query(WINDOWS)
            .bind(&each)
            .bind(EVENT)
            .bind(&job.subject);
        windows.execute(&mut *transaction).await?;
        sqlx::query(ITEMS)
            .bind(&each)
            .bind(EVENT)
            .bind(CATEGORY)
            .bind(&job.subject)
            .bind(&content.title)
            .bind(&content.body)
            .bind(&content.payload)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(DISPATCH)
            .bind(rows.dispatch.to_string())
            .bind(EVENT)
            .bind(CATEGORY)
            .bind(&job.subject)
            .bind(&content.payload)
            .bind(&content.parts)
            .execute(&mut *transaction)
            .await?;
        let deliver = sqlx::query(deliveries)
            .bind(each)
            .bind(rows.dispatch.to_string());
        deliver.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Sends deliveries, and records it in a transaction.
    async fn send(
        &self,
        connection: &mut SqliteConnection,
        ids: &[String],
        users: &[String],
        text: &str,
    ) -> Result<()> {
        let addresses = sqlx::query_scalar(ADDRESSES).bind(json!(users).to_string());
        let addresses: Vec<String> = addresses.fetch_all(&self.readers).await?;
        for address in addresses {
            send(&address, text).await;
        }
        let ids = json!(ids).to_string();
        sqlx::query(FINISHED)
            .bind(&ids)
            .execute(&mut *connection)
            .await?;
        let attempts = sqlx::query(ATTEMPTS)
            .bind(ids)
            .bind(Uuid::nil().to_string());
        attempts.execute(connection).await?;
        Ok(())
    }

    async fn run(&self, statement: &'static str, user: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        sqlx::query(statement)
            .bind(user)
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Contender for Limit {
    async fn enqueue(&self, job: &Job) -> Result<()> {
        self.write(job, QUEUED, false).await.map(drop)
    }

    async fn dispatch(&self, job: &Job) -> Result<()> {
        let rows = self.write(job, LEASED, false).await?;
        let ids: Vec<_> = rows.deliveries.iter().map(Uuid::to_string).collect();
        let _turn = self.turn.lock().await;
        let mut transaction = self.writer.begin_with(BEGIN).await?;
        self.send(&mut transaction, &ids, &rows.users, &rows.content.body)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn enqueue_in(&self, job: &Job) -> Result<()> {
        self.write(job, QUEUED, true).await.map(drop)
    }

    async fn deliver(&self, batch: usize) -> Result<usize> {
        let _turn = self.turn.lock().await;
        let claim = sqlx::query(CLAIM)
            .bind(i64::try_from(batch)?)
            .bind(Uuid::now_v7().to_string());
        let claimed = claim.fetch_all(&self.writer).await?;
        let column = |column: usize| {
            claimed
                .iter()
                .map(|row| row.get::<String, _>(column))
                .collect::<Vec<_>>()
        };
        let (ids, users, texts) = (column(0), column(1), column(2));
        if let Some(text) = texts.first() {
            let mut transaction = self.writer.begin_with(BEGIN).await?;
            self.send(&mut transaction, &ids, &users, text).await?;
            transaction.commit().await?;
        }
        Ok(ids.len())
    }

    async fn feed(&self, user: &str) -> Result<usize> {
        let rows = sqlx::query(FEED)
            .bind(user)
            .fetch_all(&self.readers)
            .await?;
        Ok(rows.len())
    }

    async fn counts(&self, user: &str) -> Result<()> {
        sqlx::query(COUNTS)
            .bind(user)
            .fetch_one(&self.readers)
            .await?;
        Ok(())
    }

    async fn mark_all(&self, user: &str) -> Result<()> {
        self.run(MARK_ALL_READ, user).await
    }

    async fn open_bell(&self, user: &str) -> Result<()> {
        self.counts(user).await?;
        self.feed(user).await?;
        self.run(MARK_ALL_SEEN, user).await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}
