//! The loop **by hand**: for each recipient, preferences, the window, the item and the delivery, one statement after the other, all of
//! a job in one transaction. It uses the driver that campanile uses, with a pool of the same size and prepared statements.
//!
//! The loop is the same on both databases; the statements, under the same names, are in a file for each.

pub(crate) mod postgres;
pub(crate) mod sqlite;

/// The contender over the statements of the module that calls it.
macro_rules! by_hand {
    ($database:ident, $begin:literal) => {
        use async_trait::async_trait;
        use campanile::Database;
        use campanile::database::Pool;
        use sqlx::Row as _;
        use uuid::Uuid;

        use crate::Result;
        use crate::contenders::Contender;
        use crate::host::{CATEGORY, EVENT, Job, send};

        pub(crate) struct ByHand {
            pool: sqlx::Pool<sqlx::$database>,
        }

        type Connection = <sqlx::$database as sqlx::Database>::Connection;

        impl ByHand {
            #[allow(irrefutable_let_patterns, reason = "features decide")]
            pub(crate) fn over(database: Database) -> Result<Self> {
                let Pool::$database(pool) = database.pool() else {
                    return Err("the database is of another kind".into());
                };
                Ok(Self { pool: pool.clone() })
            }

            /// Reads a recipient's preferences and claims the window: the notification, and whether it is an item and a delivery.
            async fn admit(
                &self,
                connection: &mut Connection,
                job: &Job,
                user: &str,
            ) -> Result<Option<(Uuid, bool, bool)>> {
                let muted = sqlx::query(PREFERENCES)
                    .bind(user)
                    .bind(CATEGORY)
                    .fetch_all(&mut *connection)
                    .await?;
                let (mut inbox, mut wire) = (true, true);
                for row in &muted {
                    match row.get(0) {
                        "inbox" => inbox = false,
                        _ => wire = false,
                    }
                }
                if !inbox && !wire {
                    return Ok(None);
                }
                let notification = Uuid::now_v7();
                let claimed = sqlx::query(CLAIM_WINDOW)
                    .bind(EVENT)
                    .bind(&job.subject)
                    .bind(user)
                    .bind(id(notification))
                    .execute(connection)
                    .await?;
                let is_admitted = claimed.rows_affected() > 0;
                Ok(is_admitted.then_some((notification, inbox, wire)))
            }

            /// Writes a job, and gives the deliveries and their recipients.
            async fn write(
                &self,
                connection: &mut Connection,
                job: &Job,
            ) -> Result<Vec<(Uuid, String)>> {
                let content = job.content();
                let dispatch = Uuid::now_v7();
                let mut deliveries = Vec::new();
                for user in &job.recipients {
                    let admitted = self.admit(connection, job, user).await?;
                    let Some((notification, inbox, wire)) = admitted else {
                        continue;
                    };
                    if inbox {
                        sqlx::query(INSERT_ITEM)
                            .bind(id(notification))
                            .bind(user)
                            .bind(EVENT)
                            .bind(CATEGORY)
                            .bind(&job.subject)
                            .bind(&content.title)
                            .bind(&content.body)
                            .bind(&content.payload)
                            .execute(&mut *connection)
                            .await?;
                    }
                    if !wire {
                        continue;
                    }
                    if deliveries.is_empty() {
                        sqlx::query(INSERT_DISPATCH)
                            .bind(id(dispatch))
                            .bind(EVENT)
                            .bind(CATEGORY)
                            .bind(&job.subject)
                            .bind(&content.payload)
                            .bind(&content.parts)
                            .execute(&mut *connection)
                            .await?;
                    }
                    let delivery = Uuid::now_v7();
                    sqlx::query(INSERT_DELIVERY)
                        .bind(id(delivery))
                        .bind(id(notification))
                        .bind(id(dispatch))
                        .bind(user)
                        .bind(inbox)
                        .execute(&mut *connection)
                        .await?;
                    deliveries.push((delivery, user.clone()));
                }
                Ok(deliveries)
            }

            /// Sends one delivery and records it.
            async fn attempt(&self, delivery: Uuid, user: &str, text: &str) -> Result<()> {
                let address: Option<String> = sqlx::query_scalar(ADDRESS)
                    .bind(user)
                    .fetch_optional(&self.pool)
                    .await?;
                let is_sent = send(address.as_deref().unwrap_or_default(), text).await;
                let mut transaction = self.pool.begin_with($begin).await?;
                sqlx::query(FINISH)
                    .bind(id(delivery))
                    .bind(if is_sent { "delivered" } else { "dead" })
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query(INSERT_ATTEMPT)
                    .bind(id(delivery))
                    .bind(id(Uuid::nil()))
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
                Ok(())
            }
        }

        #[async_trait]
        impl Contender for ByHand {
            async fn enqueue(&self, job: &Job) -> Result<()> {
                let mut transaction = self.pool.begin_with($begin).await?;
                self.write(&mut transaction, job).await?;
                transaction.commit().await?;
                Ok(())
            }

            async fn dispatch(&self, job: &Job) -> Result<()> {
                let mut transaction = self.pool.begin_with($begin).await?;
                let deliveries = self.write(&mut transaction, job).await?;
                transaction.commit().await?;
                let text = job.content().body;
                for (delivery, user) in deliveries {
                    self.attempt(delivery, &user, &text).await?;
                }
                Ok(())
            }

            async fn enqueue_in(&self, job: &Job) -> Result<()> {
                let mut transaction = self.pool.begin_with($begin).await?;
                sqlx::query(INVOICE)
                    .bind(&job.subject)
                    .bind("1,200 EUR")
                    .execute(&mut *transaction)
                    .await?;
                self.write(&mut transaction, job).await?;
                transaction.commit().await?;
                Ok(())
            }

            async fn deliver(&self, batch: usize) -> Result<usize> {
                let claimed = sqlx::query(CLAIM)
                    .bind(i64::try_from(batch)?)
                    .bind(id(Uuid::now_v7()))
                    .fetch_all(&self.pool)
                    .await?;
                for row in &claimed {
                    let delivery = row.get::<String, _>(0).parse()?;
                    let (user, text): (String, String) = (row.get(1), row.get(2));
                    self.attempt(delivery, &user, &text).await?;
                }
                Ok(claimed.len())
            }

            async fn feed(&self, user: &str) -> Result<usize> {
                let rows = sqlx::query(FEED).bind(user).fetch_all(&self.pool).await?;
                Ok(rows.len())
            }

            async fn counts(&self, user: &str) -> Result<()> {
                sqlx::query(COUNTS).bind(user).fetch_one(&self.pool).await?;
                Ok(())
            }

            async fn mark_all(&self, user: &str) -> Result<()> {
                sqlx::query(MARK_ALL_READ)
                    .bind(user)
                    .execute(&self.pool)
                    .await?;
                Ok(())
            }

            async fn open_bell(&self, user: &str) -> Result<()> {
                self.counts(user).await?;
                self.feed(user).await?;
                sqlx::query(MARK_ALL_SEEN)
                    .bind(user)
                    .execute(&self.pool)
                    .await?;
                Ok(())
            }

            async fn close(&self) {
                self.pool.close().await;
            }
        }
    };
}
pub(crate) use by_hand;
