//! A channel that is misconfigured in one process of many: that process pauses it for itself, the others deliver, and it is
//! paused for all only if all processes pause it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::Verdict;
use campanile::{Dispatcher, Notice, NotifiableEvent as _};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, Running, both_databases};

/// A process whose pigeons answer as configured, and how often they were called.
struct Process {
    dispatcher: Dispatcher,
    says: Arc<Mutex<Verdict>>,
    asked: Arc<AtomicUsize>,
}

impl Process {
    fn saying(app: &App, verdict: Verdict) -> Self {
        let says = Arc::new(Mutex::new(verdict));
        let asked = Arc::new(AtomicUsize::new(0));
        let (word, count) = (Arc::clone(&says), Arc::clone(&asked));
        let pigeons = PigeonSettings::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let verdict = word.lock().unwrap().clone();
            Flight::EndsAfter(Duration::from_millis(5), verdict)
        });
        let builder = app.builder().with(pigeons);
        Self {
            dispatcher: builder.build().unwrap(),
            says,
            asked,
        }
    }

    fn bad(app: &App) -> Self {
        Self::saying(app, Verdict::misconfigured("no licence"))
    }

    fn good(app: &App) -> Self {
        Self::saying(app, Verdict::accepted())
    }

    fn say(&self, verdict: Verdict) {
        *self.says.lock().unwrap() = verdict;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn crowd(app: &App, size: usize) -> Vec<String> {
    let users: Vec<_> = (0..size).map(|n| format!("p_{n}")).collect();
    for user in &users {
        app.address(user, "pigeon", "tower").await;
    }
    users
}

fn to(subject: &str, users: &[String]) -> Notice {
    PigeonAlone { text: "x".into() }.about(subject).to(users)
}

fn ada(subject: &str) -> Notice {
    to(subject, &["u_ada".to_owned()])
}

/// As if the time until the next probe had passed.
async fn advance_probes(app: &App) {
    for table in ["notification_worker_pauses", "notification_channel_pauses"] {
        let due = format!("update {{campanile}}{table} set probe_at = {{earlier(1)}}");
        app.database.execute(&due).await;
    }
    app.database.advance_waiting_deliveries().await;
}

/// How many processes have paused pigeons for themselves, and whether they are paused for all.
async fn paused(dispatcher: &Dispatcher) -> (usize, bool) {
    let status = dispatcher.operations().channels().await.unwrap();
    let pigeon = status
        .iter()
        .find(|status| status.channel == "pigeon")
        .unwrap();
    (pigeon.worker_pauses.len(), pigeon.pause.is_some())
}

both_databases! {
    /// F43.
    async fn one_misconfigured_process_of_ten_does_not_stop_the_others(app: App) {
        let users = crowd(&app, 30).await;
        let bad = Process::bad(&app);
        let good: Vec<_> = (0..9).map(|_| Process::good(&app)).collect();
        let mut workers = vec![Running::start(&bad.dispatcher)];
        workers.extend(good.iter().map(|process| Running::start(&process.dispatcher)));
        app.eventually(async || app.dispatcher.operations().workers().await.unwrap().len() == 10).await;
        // Until the bad one has claimed some: any of the ten may be the first to poll.
        let mut rounds = 0;
        while bad.asked() == 0 {
            let _ = app.dispatcher.enqueue(to(&rounds.to_string(), &users)).await.unwrap();
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let first = bad.asked();
        app.eventually(async || paused(&app.dispatcher).await == (1, false)).await;
        for _ in 0..5 {
            let _ = app.dispatcher.enqueue(to(&rounds.to_string(), &users)).await.unwrap();
            rounds += 1;
        }
        // Deliveries that the bad one had claimed are due again within the first pause, ten seconds.
        let all = i64::try_from(rounds * users.len()).unwrap();
        app.eventually(async || {
            app.database.change_deliveries("run_at = {earlier(1)} where state = 'pending' and run_at > {now}").await;
            app.database.deliveries("state = 'delivered'").await == all
        }).await;
        assert!(bad.asked() <= first.max(64), "it makes no further call before its probe: {}", bad.asked());
        assert_eq!(app.database.deliveries("attempt - uncounted > 1").await, 0);
        for worker in workers {
            worker.stop().await;
        }
        assert_eq!(paused(&app.dispatcher).await, (0, false), "a process that ends leaves no pause");
    }

    async fn a_process_that_has_paused_a_channel_claims_nothing_until_its_probe(app: App) {
        let (bad, good) = (Process::bad(&app), Process::good(&app));
        let worker = Running::start(&good.dispatcher);
        app.eventually(async || app.dispatcher.operations().workers().await.unwrap().len() == 1).await;
        worker.stop().await;
        // As if it were still running: it reports nothing, and delivers nothing.
        app.database.execute(
            "insert into {campanile}notification_workers (id, started_at, seen_at, channels) \
             values ({uuid('00000000-0000-0000-0000-00000000900d')}, {now}, {later(60000000)}, {json('[\"pigeon\"]')})",
        ).await;
        let report = bad.dispatcher.dispatch(ada("a")).await.unwrap();
        assert_eq!(report.failed, 1);
        assert_eq!(paused(&bad.dispatcher).await, (1, false));
        // A dispatch leaves what it has written to the others.
        assert_eq!(bad.dispatcher.dispatch(ada("b")).await.unwrap().queued, 1);
        assert_eq!(app.database.deliveries("state = 'pending' and attempt = 0 and run_at = created_at").await, 1);
        app.database.advance_deliveries().await;
        for _ in 0..3 {
            assert_eq!(bad.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        }
        assert_eq!(bad.asked(), 1);
        assert_eq!(good.dispatcher.deliver_due(10).await.unwrap().sent, 2);
        // A probe is one call, and one without an answer shows nothing.
        for (subject, verdict) in [("c", Verdict::misconfigured("no licence")), ("d", Verdict::unknown("no answer")), ("e", Verdict::retry("busy"))] {
            let _ = app.dispatcher.enqueue(ada(subject)).await.unwrap();
            bad.say(verdict);
            advance_probes(&app).await;
            let asked = bad.asked();
            assert_eq!(bad.dispatcher.deliver_due(10).await.unwrap().claimed, 1);
            app.database.advance_deliveries().await;
            assert_eq!(bad.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
            assert_eq!(bad.asked(), asked + 1);
            assert_eq!(paused(&bad.dispatcher).await, (1, false));
        }
        // It is repaired.
        bad.say(Verdict::accepted());
        advance_probes(&app).await;
        assert_eq!(bad.dispatcher.deliver_due(1).await.unwrap().sent, 1);
        assert_eq!(paused(&bad.dispatcher).await, (0, false));
        app.database.advance_deliveries().await;
        assert_eq!(bad.dispatcher.deliver_due(10).await.unwrap().sent, 2);
    }

    async fn a_channel_is_paused_for_all_when_every_worker_is_misconfigured(app: App) {
        let users = crowd(&app, 40).await;
        let all: Vec<_> = (0..2).map(|_| Process::bad(&app)).collect();
        let workers: Vec<_> = all.iter().map(|process| Running::start(&process.dispatcher)).collect();
        app.eventually(async || app.dispatcher.operations().workers().await.unwrap().len() == 2).await;
        let _ = app.dispatcher.enqueue(to("a", &users)).await.unwrap();
        app.eventually(async || {
            app.database.change_deliveries("run_at = {earlier(1)} where state = 'pending' and run_at > {now}").await;
            paused(&app.dispatcher).await.1
        }).await;
        // One of them is fixed, and detects it with the global probe; so do the others.
        for process in &all {
            process.say(Verdict::accepted());
        }
        // A call from before may still report the old fault, and pause its process for another minute.
        app.eventually(async || {
            advance_probes(&app).await;
            app.database.deliveries("state = 'delivered'").await == 40
        }).await;
        assert_eq!(paused(&app.dispatcher).await, (0, false));
        for worker in workers {
            worker.stop().await;
        }
    }

    async fn an_operators_resume_ends_the_pauses_of_single_processes_too(app: App) {
        let bad = Process::bad(&app);
        let _ = bad.dispatcher.dispatch(ada("a")).await.unwrap();
        assert_eq!(paused(&app.dispatcher).await, (1, false), "it pauses the channel only for itself");
        bad.say(Verdict::accepted());
        // From another process, like the command line.
        app.dispatcher.operations().resume_channel("pigeon").await.unwrap();
        assert_eq!(paused(&app.dispatcher).await, (0, false));
        app.database.advance_deliveries().await;
        assert_eq!(bad.dispatcher.deliver_due(10).await.unwrap().sent, 1);
    }

    async fn a_probe_that_ends_as_unknown_does_not_resume_the_channel(app: App) {
        // The delivery ends after it, which must not count as an answer.
        let bad = AtomicBool::new(true);
        let pigeons = PigeonSettings::new(move |_| Flight::Ends(if bad.swap(false, Ordering::SeqCst) {
            Verdict::misconfigured("no licence")
        } else {
            Verdict::unknown("no answer")
        }));
        let builder = app.builder().with(pigeons);
        let dispatcher = builder.tune(&campanile_pigeon::PIGEON, |policy| policy.max_lost_answers(1)).build().unwrap();
        let _ = dispatcher.dispatch(ada("a")).await.unwrap();
        advance_probes(&app).await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert_eq!(app.database.deliveries("state = 'unknown'").await, 1);
        assert_eq!(paused(&dispatcher).await, (1, false));
    }
}
