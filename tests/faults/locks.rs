//! Transactions that compete for the same windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile::database::{Pool, each_database};
use campanile::{DispatchReport, Dispatcher, Notice};
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::{Kind, both_databases};
use sqlx::Executor as _;
use sqlx::postgres::PgPool;
use tokio::sync::Barrier;

use crate::rounds::rounds;
use crate::stage::{Stage, bell, sign, users};

both_databases! {
    /// F20.
    async fn two_callers_with_the_same_recipients_in_opposite_order_never_deadlock(stage: Stage) {
        stage.people(50).await;
        for round in rounds("F20", &stage) {
            let calls = (0..20).map(|n| {
                let text = round.text(&format!("crosswise {}", n / 2));
                let dispatcher = stage.dispatcher.clone();
                let mut people = users(50);
                if n % 2 == 0 {
                    people.reverse();
                }
                let notice = bell(&text, 0).to(people);
                tokio::spawn(async move { dispatcher.enqueue(notice).await.unwrap() })
            });
            let mut admitted = 0;
            for call in calls.collect::<Vec<_>>() {
                admitted += stage.keep(call.await.unwrap()).admitted;
            }
            assert_eq!(admitted, 10 * 50);
            stage.ends_well().await;
        }
    }

    /// G4. The oracle knows the end of the window to the microsecond.
    async fn a_window_is_renewed_at_its_end_by_one_of_many_continuous_callers(stage: Stage) {
        for round in rounds("G4", &stage) {
            let text = round.text("crossing");
            let _ = stage.enqueue(sign(&text, 1)).await;
            // A third of a second of its minute is left.
            stage.database.advance_clock(59_700_000).await;
            let renewed = Arc::new(AtomicBool::new(false));
            let callers = (0..8).map(|_| {
                let (dispatcher, text, renewed) = (stage.dispatcher.clone(), text.clone(), Arc::clone(&renewed));
                tokio::spawn(async move {
                    let mut reports = Vec::new();
                    while !renewed.load(Ordering::SeqCst) {
                        let report = dispatcher.enqueue(sign(&text, 1)).await.unwrap();
                        renewed.fetch_or(report.admitted == 1, Ordering::SeqCst);
                        reports.push(report);
                    }
                    reports
                })
            });
            let mut admitted = 0;
            for caller in callers.collect::<Vec<_>>() {
                for report in caller.await.unwrap() {
                    admitted += stage.keep(report).admitted;
                }
            }
            assert_eq!(admitted, 1);
            stage.ends_well().await;
        }
    }

    /// F21.
    async fn a_key_held_by_an_open_transaction_delays_only_its_own_repeats(stage: Stage) {
        stage.people(2).await;
        let dispatcher = stage.dispatcher_as(|_| {});
        let begin = if stage.database.kind == Kind::Postgres { "begin" } else { "begin immediate" };
        for (ends, admitted) in [("commit", 0), ("rollback", 2)] {
            each_database!(stage.dispatcher.database(), |pool| {
                let mut transaction = pool.begin_with(begin).await.unwrap();
                let held = stage.dispatcher.enqueue_in(&mut transaction, bell(ends, 2)).await.unwrap();
                let (repeat, again) = (dispatcher.clone(), bell(ends, 2));
                let repeat = tokio::spawn(async move { repeat.enqueue(again).await.unwrap() });
                if stage.database.kind == Kind::Postgres {
                    // SQLite has one writer: there everything waits for the transaction.
                    let other = stage.enqueue(bell(&format!("not {ends}"), 2)).await;
                    assert_eq!((other.admitted, repeat.is_finished()), (2, false));
                }
                if ends == "commit" {
                    transaction.commit().await.unwrap();
                    let _ = stage.keep(held);
                } else {
                    transaction.rollback().await.unwrap();
                }
                assert_eq!(stage.keep(repeat.await.unwrap()).admitted, admitted, "after {ends}");
            });
        }
        stage.ends_well().await;
    }
}

/// F21. A key that is held for longer than the lock timeout is not waited for; the error says to try again.
#[test]
fn a_key_held_for_too_long_is_an_error_that_says_try_again() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(2).await;
        let impatient = stage.outside.builder(stage.database.database.clone());
        let impatient = impatient
            .lock_wait(Duration::from_millis(100))
            .build()
            .unwrap();
        let Pool::Postgres(pool) = stage.dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        let mut transaction = pool.begin_with("begin").await.unwrap();
        let held = stage
            .dispatcher
            .enqueue_in(&mut transaction, bell("held", 2))
            .await
            .unwrap();
        let error = impatient.enqueue(bell("held", 2)).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        transaction.commit().await.unwrap();
        let _ = stage.keep(held);
        assert_eq!(
            stage
                .keep(impatient.enqueue(bell("held", 2)).await.unwrap())
                .deduped,
            2
        );
        stage.ends_well().await;
    });
}

/// F20.
#[test]
fn callers_at_repeatable_read_are_admitted_once_or_get_an_error_that_says_try_again() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(2).await;
        let Pool::Postgres(pool) = stage.dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        let begin = "begin isolation level repeatable read";
        let mut early = pool.begin_with(begin).await.unwrap();
        early.execute("select 1").await.unwrap();
        // After the other one's snapshot.
        let _ = stage.enqueue(bell("same", 2)).await;
        let error = stage
            .dispatcher
            .enqueue_in(&mut early, bell("same", 2))
            .await
            .unwrap_err();
        assert!(error.is_transient(), "{error}");
        early.rollback().await.unwrap();
        let mut late = pool.begin_with(begin).await.unwrap();
        let report = stage
            .dispatcher
            .enqueue_in(&mut late, bell("same", 2))
            .await
            .unwrap();
        late.commit().await.unwrap();
        assert_eq!(stage.keep(report).deduped, 2);
        stage.ends_well().await;
    });
}

/// How often a transaction is retried before its notice counts as lost.
const MAX_TRIES: u32 = 20;

/// A host that dispatches inside its own serializable transactions, over its own pool.
struct Host {
    dispatcher: Dispatcher,
    pool: PgPool,
}

impl Host {
    async fn over(stage: &Stage) -> Self {
        let own = stage.database.with_connections(1).await;
        let Pool::Postgres(pool) = own.pool() else {
            unreachable!("the test runs only on Postgres")
        };
        Self {
            pool: pool.clone(),
            dispatcher: stage.outside.builder(own.clone()).build().unwrap(),
        }
    }

    /// Dispatches each notice in a transaction, which is retried until it is committed. All hosts have their snapshots before any
    /// of them writes. Returns how often a transaction failed.
    async fn enqueue_each(
        self,
        notices: Vec<Notice>,
        start: &Barrier,
    ) -> (Vec<DispatchReport>, u32) {
        let (mut reports, mut refused) = (Vec::new(), 0);
        for notice in notices {
            for tries in 1.. {
                let begin = "begin isolation level serializable";
                let mut transaction = self.pool.begin_with(begin).await.unwrap();
                transaction.execute("select 1").await.unwrap();
                if tries == 1 {
                    start.wait().await;
                }
                let enqueued = self.dispatcher.enqueue_in(&mut transaction, notice.clone());
                let refusal = match enqueued.await {
                    Ok(report) => match transaction.commit().await {
                        Ok(()) => {
                            reports.push(report);
                            break;
                        }
                        Err(error) => sqlstate(&error),
                    },
                    Err(error) => {
                        assert!(error.is_transient(), "{error:?}");
                        transaction.rollback().await.unwrap();
                        sqlstate(&error)
                    }
                };
                // A deadlock would be transient as well, but there must be none.
                assert_eq!(refusal.as_deref(), Some("40001"));
                assert!(tries < MAX_TRIES, "a retry succeeds");
                refused += 1;
            }
        }
        (reports, refused)
    }
}

/// The error code of Postgres, somewhere in the chain of an error.
fn sqlstate(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut answers = chain.filter_map(|error| error.downcast_ref::<sqlx::Error>());
    let code = answers.next()?.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// F20.
#[test]
fn serializable_hosts_with_the_same_recipients_in_opposite_order_are_admitted_once_or_get_a_retryable_error()
 {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(10).await;
        for round in rounds("F20 at SERIALIZABLE", &stage) {
            let start = Arc::new(Barrier::new(2));
            let mut hosts = Vec::new();
            for reversed in [false, true] {
                let people = |many| {
                    let mut people = users(many);
                    if reversed {
                        people.reverse();
                    }
                    people
                };
                let notices = (0..20).map(|n| {
                    let text = round.text(&format!("serializable {n}"));
                    // Many windows, so that two callers that claimed them in different orders would deadlock in the middle.
                    let (bell, sign) = (bell(&text, 0), sign(&text, 0));
                    [bell.to(people(10)), sign.to(people(500))]
                });
                let notices = notices.flatten().collect();
                let (host, start) = (Host::over(&stage).await, Arc::clone(&start));
                hosts.push(tokio::spawn(async move {
                    host.enqueue_each(notices, &start).await
                }));
            }
            let (mut admitted, mut deduped, mut refused) = (0, 0, 0);
            // If one of them fails, the other one waits for it.
            for (reports, own) in futures_util::future::try_join_all(hosts).await.unwrap() {
                assert_eq!(reports.len(), 40);
                refused += own;
                for report in reports {
                    let report = stage.keep(report);
                    admitted += report.admitted;
                    deduped += report.deduped;
                }
            }
            assert_eq!((admitted, deduped), (20 * 510, 20 * 510));
            // In each pair, one did not see the windows that the other one opened.
            assert!(refused >= 40, "{refused}");
            stage.ends_well().await;
        }
    });
}
