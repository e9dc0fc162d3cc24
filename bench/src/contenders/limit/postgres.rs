//! The raw limit on Postgres.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::maybe_done;
use futures_util::poll;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use super::Rows;
use crate::Result;
use crate::contenders::Contender;
use crate::host::{CATEGORY, EVENT, Job, send};
use crate::stage::{CONNECTIONS, Place};

/// As a text, which is how sqlx sends it too: prepared, `pg_stat_statements` counts it only once.
const BEGIN: Call<'_> = Call::Text("begin");
const COMMIT: Call<'_> = Call::Text("commit");

const WINDOWS: &str = "\
    insert into campanile.notification_dedup \
        (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id) \
    select $1::text, $2::text, given.user_id, now(), now() + interval '10 minutes', given.id \
    from unnest($3::text[], $4::uuid[]) as given(user_id, id)";

const ITEMS: &str = "\
    insert into campanile.notifications (id, user_id, event_type, category, subject_id, title, body, payload, created_at) \
    select given.id, given.user_id, $1::text, $2::text, $3::text, $4::text, $5::text, $6::text::jsonb, now() \
    from unnest($7::text[], $8::uuid[]) as given(user_id, id)";

const DISPATCH: &str = "\
    insert into campanile.notification_dispatches \
        (id, event_type, category, subject_id, dedup_key, payload, content, deliveries, created_at) \
    values ($1, $2, $3, $4, $4, $5::text::jsonb, $6::text::jsonb, 1, now())";

const QUEUED: &str = "\
    insert into campanile.notification_deliveries \
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, created_at) \
    select given.id, given.notification_id, $1::uuid, given.user_id, 'wire', true, 'pending', 0, now(), now() \
    from unnest($2::text[], $3::uuid[], $4::uuid[]) as given(user_id, notification_id, id)";

const LEASED: &str = "\
    insert into campanile.notification_deliveries \
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, created_at, \
        first_attempt_at, lease_until, worker, claim) \
    select given.id, given.notification_id, $1::uuid, given.user_id, 'wire', true, 'running', 1, now(), now(), \
        now(), now() + interval '30 seconds', $1::uuid, $1::uuid \
    from unnest($2::text[], $3::uuid[], $4::uuid[]) as given(user_id, notification_id, id)";

const ADDRESSES: &str = "\
    select user_id, address from campanile.notification_addresses where channel = 'wire' and user_id = any($1::text[])";

const CLAIM: &str = "\
    update campanile.notification_deliveries as delivery \
    set state = 'running', lease_until = now() + interval '30 seconds', claim = $2, worker = $2 \
    from campanile.notification_dispatches as dispatch \
    where dispatch.id = delivery.dispatch_id and delivery.id in (\
        select id from campanile.notification_deliveries \
        where channel = 'wire' and state = 'pending' and run_at <= now() \
        order by run_at limit $1::bigint for update skip locked) \
    returning delivery.id, delivery.user_id, dispatch.content #>> '{wire,text}'";

const FINISHED: &str = "\
    update campanile.notification_deliveries \
    set state = 'delivered', attempt = 1, first_attempt_at = now(), finished_at = now(), lease_until = null, worker = null \
    where id = any($1::uuid[])";

const ATTEMPTS: &str = "\
    insert into campanile.notification_attempts (delivery_id, attempt, started_at, took_micros, outcome, worker) \
    select id, 1, now(), 1, 'accepted', $2::uuid from unnest($1::uuid[]) as id";

/// The row of the host's own.
const INVOICE: &str = "insert into bench_invoices (number, amount) values ($1, $2)";

const FEED: &str = "\
    select id, event_type, category, subject_id, title, body, payload::text, action_url, read_at::text, seen_at::text, created_at::text \
    from campanile.notifications where user_id = $1 and not archived order by id desc limit 20";

const COUNTS: &str = "\
    select (select count(*) from (select 1 from campanile.notifications \
            where user_id = $1 and not archived and read_at is null limit 100) as unread), \
        (select count(*) from (select 1 from campanile.notifications \
            where user_id = $1 and not archived and read_at is null and seen_at is null limit 100) as unseen), \
        (select count(*) from (select 1 from campanile.notifications \
            where user_id = $1 and not archived limit 100) as total)";

const MARK_ALL_READ: &str = "\
    update campanile.notifications set read_at = now(), changed_in = pg_current_xact_id() \
    where user_id = $1 and not archived and read_at is null";

const MARK_ALL_SEEN: &str = "\
    update campanile.notifications set seen_at = now(), changed_in = pg_current_xact_id() \
    where user_id = $1 and not archived and read_at is null and seen_at is null";

/// A connection with its prepared statements.
struct Session {
    client: Client,
    windows: Statement,
    items: Statement,
    dispatch: Statement,
    queued: Statement,
    leased: Statement,
    addresses: Statement,
    claim: Statement,
    finished: Statement,
    attempts: Statement,
    invoice: Statement,
    feed: Statement,
    counts: Statement,
    mark_all_read: Statement,
    mark_all_seen: Statement,
}

/// What is sent.
enum Call<'a> {
    Text(&'static str),
    Prepared(&'a Statement, Vec<&'a (dyn ToSql + Sync)>),
}

impl Call<'_> {
    async fn send(&self, client: &Client) -> std::result::Result<(), tokio_postgres::Error> {
        match self {
            Self::Text(text) => client.batch_execute(text).await,
            Self::Prepared(statement, parameters) => {
                client.execute(*statement, parameters).await.map(drop)
            }
        }
    }
}

impl Session {
    async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self {
            windows: client.prepare(WINDOWS).await?,
            items: client.prepare(ITEMS).await?,
            dispatch: client.prepare(DISPATCH).await?,
            queued: client.prepare(QUEUED).await?,
            leased: client.prepare(LEASED).await?,
            addresses: client.prepare(ADDRESSES).await?,
            claim: client.prepare(CLAIM).await?,
            finished: client.prepare(FINISHED).await?,
            attempts: client.prepare(ATTEMPTS).await?,
            invoice: client.prepare(INVOICE).await?,
            feed: client.prepare(FEED).await?,
            counts: client.prepare(COUNTS).await?,
            mark_all_read: client.prepare(MARK_ALL_READ).await?,
            mark_all_seen: client.prepare(MARK_ALL_SEEN).await?,
            client,
        })
    }

    /// Sends the statements in this order, and then waits for all of them.
    async fn pipeline(&self, calls: Vec<Call<'_>>) -> Result<()> {
        let calls = calls.iter().map(|call| call.send(&self.client));
        let mut sent: Vec<_> = calls.map(|call| Box::pin(maybe_done(call))).collect();
        // A statement is sent when its future is first polled.
        for call in &mut sent {
            let _ = poll!(call.as_mut());
        }
        for mut call in sent {
            call.as_mut().await;
            if let Some(answer) = Pin::as_mut(&mut call).take_output() {
                answer?;
            }
        }
        Ok(())
    }

    /// The writes of a job between `begin` and `commit`.
    async fn write(&self, job: &Job, deliveries: &Statement, invoice: bool) -> Result<Rows> {
        let rows = Rows::of(job);
        let content = &rows.content;
        let amount = "1,200 EUR";
        let mut calls: Vec<Call<'_>> = vec![BEGIN];
        if invoice {
            calls.push(Call::Prepared(&self.invoice, vec![&job.subject, &amount]));
        }
        calls.extend([
            Call::Prepared(
                &self.windows,
                vec![
                    &EVENT as &(dyn ToSql + Sync),
                    &job.subject,
                    &rows.users,
                    &rows.notifications,
                ],
            ),
            Call::Prepared(
                &self.items,
                vec![
                    &EVENT,
                    &CATEGORY,
                    &job.subject,
                    &content.title,
                    &content.body,
                    &content.payload,
                    &rows.users,
                    &rows.notifications,
                ],
            ),
            Call::Prepared(
                &self.dispatch,
                vec![
                    &rows.dispatch,
                    &EVENT,
                    &CATEGORY,
                    &job.subject,
                    &content.payload,
                    &content.parts,
                ],
            ),
            Call::Prepared(
                deliveries,
                vec![
                    &rows.dispatch,
                    &rows.users,
                    &rows.notifications,
                    &rows.deliveries,
                ],
            ),
            COMMIT,
        ]);
        self.pipeline(calls).await?;
        Ok(rows)
    }

    async fn send(&self, deliveries: &[(Uuid, String)], text: &str) -> Result<()> {
        let users: Vec<_> = deliveries.iter().map(|(_, user)| user.as_str()).collect();
        let addresses = self.client.query(&self.addresses, &[&users]).await?;
        for row in addresses {
            send(row.get(1), text).await;
        }
        let ids: Vec<_> = deliveries.iter().map(|(id, _)| *id).collect();
        let calls: Vec<Call<'_>> = vec![
            BEGIN,
            Call::Prepared(&self.finished, vec![&ids]),
            Call::Prepared(&self.attempts, vec![&ids, &NOBODY]),
            COMMIT,
        ];
        self.pipeline(calls).await
    }
}

const NOBODY: Uuid = Uuid::nil();

/// A pool of sessions, which are begun when they are first needed.
pub(crate) struct Limit {
    url: String,
    free: Semaphore,
    idle: Mutex<Vec<Session>>,
}

/// A session until it is given back.
struct Taken<'a> {
    session: Option<Session>,
    pool: &'a Limit,
    _permit: SemaphorePermit<'a>,
}

impl std::ops::Deref for Taken<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
            .as_ref()
            .expect("it is there until it is dropped")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.pool.idle().extend(self.session.take());
    }
}

impl Limit {
    pub(crate) fn at(place: &Place) -> Self {
        Self {
            url: place.url.clone(),
            free: Semaphore::new(CONNECTIONS as usize),
            idle: Mutex::default(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn session(&self) -> Result<Taken<'_>> {
        let permit = self.free.acquire().await?;
        let idle = self.idle().pop();
        let session = match idle {
            Some(session) => session,
            None => Session::connect(&self.url).await?,
        };
        Ok(Taken {
            session: Some(session),
            pool: self,
            _permit: permit,
        })
    }
}

#[async_trait]
impl Contender for Limit {
    async fn enqueue(&self, job: &Job) -> Result<()> {
        let session = self.session().await?;
        session.write(job, &session.queued, false).await?;
        Ok(())
    }

    async fn dispatch(&self, job: &Job) -> Result<()> {
        let session = self.session().await?;
        let rows = session.write(job, &session.leased, false).await?;
        let deliveries: Vec<_> = rows.deliveries.into_iter().zip(rows.users).collect();
        session.send(&deliveries, &rows.content.body).await
    }

    async fn enqueue_in(&self, job: &Job) -> Result<()> {
        let session = self.session().await?;
        session.write(job, &session.queued, true).await?;
        Ok(())
    }

    async fn deliver(&self, batch: usize) -> Result<usize> {
        let session = self.session().await?;
        let batch = i64::try_from(batch)?;
        let claimed = session
            .client
            .query(&session.claim, &[&batch, &Uuid::now_v7()])
            .await?;
        let deliveries: Vec<_> = claimed.iter().map(|row| (row.get(0), row.get(1))).collect();
        if let Some(first) = claimed.first() {
            session.send(&deliveries, first.get(2)).await?;
        }
        Ok(deliveries.len())
    }

    async fn feed(&self, user: &str) -> Result<usize> {
        let session = self.session().await?;
        let rows = session.client.query(&session.feed, &[&user]).await?;
        Ok(rows.len())
    }

    async fn counts(&self, user: &str) -> Result<()> {
        let session = self.session().await?;
        session.client.query_one(&session.counts, &[&user]).await?;
        Ok(())
    }

    async fn mark_all(&self, user: &str) -> Result<()> {
        let session = self.session().await?;
        let mark = &session.mark_all_read;
        session.client.execute(mark, &[&user]).await?;
        Ok(())
    }

    async fn open_bell(&self, user: &str) -> Result<()> {
        let session = self.session().await?;
        let calls: Vec<Call<'_>> = vec![
            Call::Prepared(&session.counts, vec![&user]),
            Call::Prepared(&session.feed, vec![&user]),
            Call::Prepared(&session.mark_all_seen, vec![&user]),
        ];
        session.pipeline(calls).await
    }

    async fn close(&self) {
        self.idle().clear();
    }
}
