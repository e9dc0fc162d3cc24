//! The **stage**: the real thing on a real database, with a brisk worker, workers that hang, and a carrier with configurable
//! answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile::operate::{DeadFilter, DeliveryChangeError};
use campanile::{Attempted, DispatchReport, Dispatcher, Notice, Outcome};
use campanile_email::Suppressions;
use campanile_tests::{App, Kind, TestDatabase};
use tokio::task::JoinHandle;

use super::carrier::Office;
use super::command::{BRISK, Command, Entry, TICK, WORKERS, is_reachable};
use super::event::{Channel, REMOTE, USERS};
use super::reference::{Model, Name};
use super::workers::build;

/// In seconds.
const A_DAY: i64 = 86_400;

pub(super) struct Stage {
    pub(super) app: App,
    pub(super) office: Arc<Office>,
    workers: Vec<Dispatcher>,
    /// The running rounds of each worker.
    rounds: Vec<VecDeque<Round>>,
    /// The number of each dispatch by its id.
    pub(super) fires: HashMap<String, usize>,
    /// Every delivery that was ever seen, by its id, including those of forgotten users.
    pub(super) names: HashMap<String, String>,
    pub(super) still_since: Instant,
}

/// A round in which calls hang, with their number on each channel.
struct Round {
    calls: [(Channel, usize); 3],
    under_way: Vec<JoinHandle<Attempted>>,
}

impl Stage {
    pub(super) async fn over(database: TestDatabase) -> Self {
        let app = App::over_database(database).await;
        let office = Arc::default();
        let workers = (0..WORKERS).map(|worker| build(&app, &office, worker));
        Self {
            workers: workers.collect(),
            app,
            office,
            rounds: (0..WORKERS).map(|_| VecDeque::new()).collect(),
            fires: HashMap::new(),
            names: HashMap::new(),
            still_since: Instant::now(),
        }
    }

    /// Resets the stage to its state before the first command.
    pub(super) async fn empty(&mut self) {
        self.sweep().await;
        // Hanging calls continue now, find nothing, and get no answer that would pause a channel.
        self.office.close();
        for worker in 0..WORKERS {
            while self.join(worker).await {}
        }
        self.sweep().await;
        self.office.open();
        self.fires.clear();
        self.names.clear();
        for user in 0..USERS.len() {
            self.move_in(user).await;
        }
        self.still_since = Instant::now();
    }

    /// The acting worker is the only live one: a channel that is misconfigured there is paused for all.
    async fn register(&self, worker: usize) {
        let id = self.workers[worker].worker_id();
        let linked = serde_json::json!(REMOTE.map(Channel::name));
        let statement = format!(
            "delete from {{campanile}}notification_workers where id <> '{id}'; \
             insert into {{campanile}}notification_workers (id, started_at, seen_at, channels) \
             values ('{id}', {{now}}, {{now}}, '{linked}') on conflict (id) do update set seen_at = excluded.seen_at"
        );
        self.app.database.execute(&statement).await;
    }

    async fn sweep(&self) {
        for table in [
            "notification_attempts",
            "notification_deliveries",
            "notification_dispatches",
            "notification_dedup",
            "notification_channel_pauses",
            "notification_worker_pauses",
            "notifications",
            "user_notification_preferences",
            "notification_addresses",
            "email_suppressions",
            "email_suspects",
        ] {
            let statement = format!("delete from {{campanile}}{table}");
            self.app.database.execute(&statement).await;
        }
    }

    /// Executes a command that the model has already applied, and returns its answer.
    pub(super) async fn perform(&mut self, command: &Command, model: &Model) -> Vec<String> {
        let worker = match command {
            Command::Hang(worker) | Command::LetGo(worker) => *worker,
            _ => BRISK,
        };
        self.register(worker).await;
        for (channel, word) in &model.says {
            self.office.say(*channel, *word);
        }
        let operations = self.workers[BRISK].operations().clone();
        let app = &self.app;
        let mut answer = Vec::new();
        match command {
            Command::Fire {
                entry,
                event,
                subject,
                recipients,
            } => {
                let notice = event.notice(app, *subject, recipients);
                answer = self.fire(*entry, notice, model.fires).await;
            }
            Command::Choose {
                user,
                cell: (category, channel),
                choice,
            } => {
                app.choose(USERS[*user], category, channel.name(), *choice)
                    .await;
            }
            Command::Suppress(user) => app.suppress(&mail_address(*user)).await,
            Command::Unsuppress(user) => {
                let list = Suppressions::new(app.database.database.clone());
                list.remove(&mail_address(*user)).await.unwrap();
            }
            Command::Move(user) => self.move_in(*user).await,
            Command::Forget(user) => {
                operations.forget_user(USERS[*user]).await.unwrap();
            }
            // The model decides the answer.
            Command::Say(..) => {}
            Command::Deliver(at_most) => {
                let (claimed, sent) = self.deliver(*at_most).await;
                answer.push(format!("claimed {claimed} sent {sent}"));
            }
            Command::Hang(worker) => self.hang(*worker, model).await,
            Command::LetGo(worker) => drop(self.join(*worker).await),
            Command::Advance(ticks) => app.database.advance_clock(ticks * TICK * 1_000_000).await,
            Command::Retry(_) | Command::Cancel(_) => {
                answer.extend(self.change(command, model).await);
            }
            Command::Redrive(_) | Command::Pause(_) | Command::Resume(_) => {
                answer.extend(self.operate(command).await);
            }
        }
        answer
    }

    /// An operator's action on a channel.
    async fn operate(&self, command: &Command) -> Option<String> {
        let operations = self.workers[BRISK].operations();
        match command {
            Command::Redrive(channel) => {
                let dead = DeadFilter {
                    channel: channel.map(Channel::name),
                    ..DeadFilter::default()
                };
                let redriven = operations.redrive_dead(dead).await;
                return Some(format!("redriven {}", redriven.unwrap()));
            }
            Command::Pause(channel) => {
                let paused = operations.pause_channel(channel.name(), "a story");
                paused.await.unwrap();
            }
            Command::Resume(channel) => {
                operations.resume_channel(channel.name()).await.unwrap();
            }
            _ => {}
        }
        None
    }

    async fn fire(&mut self, entry: Entry, notice: Notice, number: usize) -> Vec<String> {
        let brisk = &self.workers[BRISK];
        let report = match entry {
            Entry::Dispatch => brisk.dispatch(notice).await.unwrap(),
            Entry::Enqueue => brisk.enqueue(notice).await.unwrap(),
        };
        if let Some(id) = report.dispatch_id {
            self.fires.insert(id.to_string(), number);
        }
        told(&report)
    }

    /// An operator's action on a delivery.
    async fn change(&self, command: &Command, model: &Model) -> Option<String> {
        let (Command::Retry(pick) | Command::Cancel(pick)) = command else {
            return None;
        };
        let name = shown(model.pick(*pick)?);
        let id = self.names.iter().find(|(_, known)| **known == name)?.0;
        let id = uuid::Uuid::parse_str(id).unwrap();
        let changed = match command {
            Command::Retry(_) => self.workers[BRISK].operations().retry_delivery(id).await,
            _ => self.workers[BRISK].operations().cancel_delivery(id).await,
        };
        Some(match changed {
            Ok(()) => "done".to_owned(),
            Err(DeliveryChangeError::WrongState { state, .. }) => {
                format!("refused {}", state.as_str())
            }
            Err(error) => panic!("{error}"),
        })
    }

    /// The brisk worker runs a round, channel by channel: otherwise the channels run concurrently, and the claim of one skips
    /// rows that another has locked for a moment.
    async fn deliver(&self, at_most: usize) -> (usize, usize) {
        let (mut claimed, mut sent) = (0, 0);
        for channel in REMOTE {
            self.set_aside_all_but(channel, A_DAY).await;
            let done = self.workers[BRISK].deliver_due(at_most).await.unwrap();
            (claimed, sent) = (claimed + done.claimed, sent + done.sent);
            self.set_aside_all_but(channel, -A_DAY).await;
        }
        (claimed, sent)
    }

    /// A worker runs a round until all calls hang that hang in the model, and deliveries that were decided without a call are
    /// recorded; or to its end if none hangs, so that it does not claim later deliveries.
    async fn hang(&mut self, worker: usize, model: &Model) {
        let calls = REMOTE.map(|channel| (channel, model.hanging(worker, channel)));
        let all =
            calls.map(|(channel, calls)| (channel, self.office.came(worker, channel) + calls));
        let settled = async |under_way: &[JoinHandle<Attempted>]| {
            let hang = all
                .iter()
                .all(|(channel, calls)| self.office.came(worker, *channel) == *calls);
            let ends = calls.iter().all(|(_, calls)| *calls == 0);
            let is_over = !ends || under_way.iter().all(JoinHandle::is_finished);
            hang && is_over && self.picture().await == model.picture()
        };
        let mut under_way = vec![self.begin(worker)];
        for look in 1..500 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if settled(&under_way).await {
                break;
            }
            // Deliveries that were skipped because they were locked for a moment are claimed by the worker's next round.
            if look % 200 == 0 && self.app.database.kind == Kind::Postgres {
                under_way.push(self.begin(worker));
            }
        }
        self.rounds[worker].push_back(Round { calls, under_way });
    }

    fn begin(&self, worker: usize) -> JoinHandle<Attempted> {
        let dispatcher = self.workers[worker].clone();
        tokio::spawn(async move { dispatcher.deliver_due(1_000).await.unwrap() })
    }

    /// Lets a worker continue in its first round; `false` if it has none.
    async fn join(&mut self, worker: usize) -> bool {
        let Some(round) = self.rounds[worker].pop_front() else {
            return false;
        };
        for (channel, calls) in round.calls {
            self.office.let_go(worker, channel, calls);
        }
        for under_way in round.under_way {
            under_way.await.expect("a round does not panic");
        }
        true
    }

    async fn move_in(&self, user: usize) {
        let channels = REMOTE.into_iter();
        for channel in channels.filter(|channel| is_reachable(user, *channel)) {
            let address = mail_address(user);
            self.app
                .address(USERS[user], channel.name(), &address)
                .await;
        }
    }
}

fn mail_address(user: usize) -> String {
    format!("{}@example.com", USERS[user])
}

/// A delivery's name in pictures.
pub(super) fn shown((fire, user, channel): Name) -> String {
    format!("#{fire} {} {}", USERS[user], channel.name())
}

/// A report in the terms of the model.
fn told(report: &DispatchReport) -> Vec<String> {
    let lines = report.outcomes.iter().map(|line| {
        let outcome = match &line.outcome {
            Outcome::Failed { retry, .. } => format!("failed {retry:?}").to_lowercase(),
            outcome => outcome.as_str().to_owned(),
        };
        format!("{} {} {outcome}", line.recipient_user_id, line.channel)
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines.push(format!(
        "sent {} queued {} failed {} suppressed {} unreachable {} addresses {} \
         recipients {} admitted {} deduped {} fully {} repeated {}",
        report.sent,
        report.queued,
        report.failed,
        report.suppressed_by_prefs,
        report.unreachable,
        report.suppressed_addresses,
        report.recipients,
        report.admitted,
        report.deduped,
        report.fully_suppressed,
        report.repeated_ids,
    ));
    lines
}
