//! Everything at once: workers and a dispatching process, with one random fault after the other.

use std::time::Duration;

use campanile_tests::outside::Mails;
use campanile_tests::provider::Behaviour;
use campanile_tests::{Kind, both_databases};

use crate::committed::{assert_nothing_of_what_failed, assert_whole};
use crate::process::Process;
use crate::rounds::{Round, processes, rounds};
use crate::stage::Stage;

/// How many users each dispatch notifies.
const PEOPLE: usize = 5;

/// A fault.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A worker is killed with `kill -9`, and another one is started.
    Kill,
    /// A worker is stopped until its leases have expired.
    Stop,
    /// The dispatching process is killed, and another one is started.
    KillTeller,
    /// All sessions of the database are terminated.
    ThrowOut,
    /// From now on the provider behaves like this.
    Provider(Behaviour),
}

const FAULTS: [Fault; 10] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Stop,
    Fault::KillTeller,
    Fault::ThrowOut,
    Fault::Provider(Behaviour::Accept),
    Fault::Provider(Behaviour::AcceptThenCut),
    Fault::Provider(Behaviour::refuse(503)),
    Fault::Provider(Behaviour::refuse(429)),
    Fault::Provider(Behaviour::Hang),
];

/// The processes of one round.
struct Play<'s> {
    stage: &'s Stage,
    workers: Vec<Process>,
    teller: Process,
    /// How many dispatching processes there were: each has its own name.
    tellers: usize,
    /// All output of the dispatching processes.
    lines: Vec<String>,
}

impl<'s> Play<'s> {
    fn begin(stage: &'s Stage, round: &mut Round) -> Self {
        stage.provider.always(Behaviour::Accept);
        let workers = (0..processes()).map(|_| worker(stage, round)).collect();
        Self {
            stage,
            workers,
            teller: teller(stage, round, 0),
            tellers: 1,
            lines: Vec::new(),
        }
    }

    async fn strike(&mut self, fault: Fault, round: &mut Round) {
        let victim = round.between(0..=self.workers.len() - 1);
        match fault {
            Fault::Kill => {
                let victim = self.workers.remove(victim);
                self.stage.kill(victim).await;
                self.workers.push(worker(self.stage, round));
            }
            // A process that is stopped while it holds the write lock of an SQLite file keeps everybody from writing.
            Fault::Stop if self.stage.database.kind == Kind::Postgres => {
                self.stage.stop(&self.workers[victim]).await;
                self.stage.advance().await;
                self.told(round.between(1..=3)).await;
                self.workers[victim].signal("CONT").await;
            }
            Fault::KillTeller => {
                let next = teller(self.stage, round, self.tellers);
                self.tellers += 1;
                let last = std::mem::replace(&mut self.teller, next);
                self.lines.extend(last.kill().await);
            }
            Fault::ThrowOut if self.stage.database.kind == Kind::Postgres => {
                self.stage.told().killed = true;
                crate::server::throw_everybody_out(self.stage).await;
            }
            Fault::Stop | Fault::ThrowOut => self.stage.advance().await,
            Fault::Provider(behaviour) => self.stage.provider.always(behaviour),
        }
    }

    /// Waits until this many more dispatches are done.
    async fn told(&mut self, times: usize) {
        let lines = crate::server::lines_until_done(&mut self.teller, times).await;
        self.lines.extend(lines);
    }

    async fn end(self) {
        let Self {
            stage, mut lines, ..
        } = self;
        lines.extend(self.teller.kill().await);
        stage.provider.always(Behaviour::Accept);
        for worker in self.workers {
            worker.terminate().await;
        }
        assert_whole(stage, &lines).await;
        assert_nothing_of_what_failed(stage, &lines).await;
    }
}

fn worker(stage: &Stage, round: &mut Round) -> Process {
    let mails = round.one_of(&[Mails::Alone, Mails::Together]);
    stage.worker_as(|settings| settings.mails = mails)
}

fn teller(stage: &Stage, round: &mut Round, number: usize) -> Process {
    let way = round.one_of(&["dispatch", "enqueue"]);
    let name = round.text(&format!("teller {number}"));
    let mut command = stage.dispatcher_command(&stage.database.url, way, &name, PEOPLE);
    // Fast enough to be in the middle of something, and not so fast that the rest of the round is spent on its mails.
    Process::start(command.env("CAMPANILE_TEST_PACE", "15"))
}

both_databases! {
    /// All faults together.
    async fn after_random_faults_in_random_order_the_oracle_finds_nothing(stage: Stage) {
        let mut stage = stage;
        // A provider that hangs should delay mails, and not the test.
        stage.outside.mail_millis = 800;
        stage.people(PEOPLE).await;
        stage.told().killed = true;
        for mut round in rounds("all together", &stage) {
            let mut play = Play::begin(&stage, &mut round);
            for _ in 0..8 {
                play.told(round.between(1..=3)).await;
                tokio::time::sleep(round.up_to(Duration::from_millis(30))).await;
                let fault = round.one_of(&FAULTS);
                eprintln!("round {}: {fault:?}", round.number);
                play.strike(fault, &mut round).await;
            }
            play.end().await;
            stage.ends_well().await;
        }
    }
}
