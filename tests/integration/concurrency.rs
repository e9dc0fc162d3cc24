//! One window, many writers: exactly one is admitted.

use std::collections::HashSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use campanile::NotifiableEvent as _;
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Barrier;

/// A process that fires at the same keys as the others.
struct Firing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Firing {
    fn start(url: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_campanile-fire"))
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line());
        let line = line.await.expect("a line within half a minute");
        line.unwrap().expect("the process is still running")
    }

    async fn begin(&mut self) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(b"begin\n").await.unwrap();
    }

    /// Closes its input, and reads its remaining output.
    async fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push(line);
        }
        assert!(self.child.wait().await.unwrap().success());
        rest
    }
}

both_databases! {
    async fn one_of_sixty_four_tasks_on_the_same_key_is_admitted(app: App) {
        let barrier = Arc::new(Barrier::new(64));
        let fires: Vec<_> = (0..64)
            .map(|_| {
                let (dispatcher, barrier) = (app.dispatcher.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    let notice = PigeonExpected::default().about("loft").to(["u_ada"]);
                    dispatcher.enqueue(notice).await.unwrap()
                })
            })
            .collect();
        let (mut admitted, mut deduped) = (0, 0);
        for fire in fires {
            let report = fire.await.unwrap();
            admitted += report.admitted;
            deduped += report.deduped;
        }
        assert_eq!((admitted, deduped), (1, 63));
        assert_eq!(app.database.count("notifications").await, 1);
        assert_eq!(app.database.count("notification_deliveries").await, 1);
    }

    async fn one_of_four_processes_is_admitted_for_each_key(app: App) {
        let mut processes: Vec<_> = (0..4).map(|_| Firing::start(&app.database.url)).collect();
        for process in &mut processes {
            assert_eq!(process.line().await, "ready");
        }
        for process in &mut processes {
            process.begin().await;
        }
        // None of them ends before each has fired, so that they fire at the same time.
        let mut lines = Vec::new();
        for process in &mut processes {
            while lines.last().is_none_or(|line| line != "fired") {
                lines.push(process.line().await);
            }
            lines.push(String::new());
        }
        for process in processes {
            lines.extend(process.end().await);
        }
        let admitted: Vec<u32> = lines.iter().filter_map(|line| line.parse().ok()).collect();
        let distinct: HashSet<_> = admitted.iter().collect();
        assert_eq!(admitted.len(), distinct.len(), "no key was admitted twice");
        let admitted = i64::try_from(admitted.len()).unwrap();
        assert_eq!(app.database.count("notifications").await, admitted);
        assert_eq!(app.database.count("notification_dedup").await, admitted);
    }

    async fn callers_with_the_same_recipients_in_opposite_order_do_not_deadlock(app: App) {
        let users: Vec<String> = (0..200).map(|n| format!("u_{n:03}")).collect();
        let fires: Vec<_> = (0..40)
            .map(|n| {
                let (dispatcher, mut users) = (app.dispatcher.clone(), users.clone());
                if n % 2 == 0 {
                    users.reverse();
                }
                tokio::spawn(async move {
                    let subject = format!("loft_{}", n / 4);
                    let notice = PigeonExpected::default().about(subject).to(users);
                    dispatcher.enqueue(notice).await.unwrap().admitted
                })
            })
            .collect();
        let mut admitted = 0;
        for fire in fires {
            admitted += fire.await.unwrap();
        }
        // Ten subjects, each fired four times to the same 200 users.
        assert_eq!(admitted, 10 * 200);
    }

    async fn one_of_many_writers_opens_the_next_window(app: App) {
        for round in 1..=5 {
            let fires = (0..32).map(|_| {
                let dispatcher = app.dispatcher.clone();
                tokio::spawn(async move {
                    let notice = PigeonExpected::default().about("loft").to(["u_ada"]);
                    dispatcher.enqueue(notice).await.unwrap().admitted
                })
            });
            let mut admitted = 0;
            for fire in fires.collect::<Vec<_>>() {
                admitted += fire.await.unwrap();
            }
            assert_eq!(admitted, 1, "round {round}");
            app.database.advance_windows(61).await;
        }
        assert_eq!(app.database.count("notification_dedup").await, 1);
    }

    async fn batches_with_many_chunks_in_opposite_order_do_not_deadlock(app: App) {
        // Letters whose order differs between bytes and collations.
        let users: Vec<String> = (0..60).map(|n| format!("{}{n}", if n % 2 == 0 { "u_é" } else { "U_e" })).collect();
        for round in 0..10 {
            let fires = [false, true].map(|reversed| {
                let mut subjects: Vec<_> = (0..4).map(|n| format!("{round}_{n}")).collect();
                if reversed {
                    subjects.reverse();
                }
                let notices: Vec<_> = subjects
                    .into_iter()
                    .map(|subject| PigeonExpected::default().about(subject).to(&users))
                    .collect();
                let dispatcher = app.builder().chunk(if reversed { 25 } else { 35 }).build().unwrap();
                tokio::spawn(async move { dispatcher.enqueue_all(notices).await.unwrap() })
            });
            let mut admitted = 0;
            for fire in fires {
                admitted += fire.await.unwrap().iter().map(|report| report.admitted).sum::<usize>();
            }
            assert_eq!(admitted, 4 * 60);
        }
    }

    async fn a_small_pool_serves_many_dispatches(app: App) {
        for connections in [1, 2] {
            let database = app.database.with_connections(connections).await;
            let dispatcher = app.builder().database(database).build().unwrap();
            let fires = (0..100).map(|n| {
                let dispatcher = dispatcher.clone();
                tokio::spawn(async move {
                    let notice = PigeonExpected::default().about(format!("{connections}_{n}")).to(["u_ada"]);
                    dispatcher.dispatch(notice).await.unwrap().sent
                })
            });
            for fire in fires.collect::<Vec<_>>() {
                assert_eq!(fire.await.unwrap(), 2);
            }
        }
    }
}
