//! Whatever callers, users, providers, workers, operators and the clock do, in whatever order: the database agrees with a small
//! model of the guarantees after every step, and in the end every delivery has ended.
//!
//! `CAMPANILE_MODEL_CASES` is how many sequences are tried on each database, `CAMPANILE_MODEL_SEED` repeats those of a run
//! that failed.

mod event;
mod command;
mod delivery;
mod reference;
mod fire;
mod round;
mod carrier;
mod workers;
mod stage;
mod clock;
mod picture;

use std::cell::RefCell;
use std::env;

use campanile_tests::{TestDatabase, both_databases};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use command::{Command, Entry, WORKERS, commands};
use delivery::Word;
use event::{Event, REMOTE};
use reference::Model;
use stage::Stage;

both_databases! {
    async fn a_worker_that_reclaims_its_own_lost_delivery_cannot_end_it_with_its_first_verdict(database: TestDatabase) {
        // Random sequences rarely find this: only the attempt number distinguishes the two.
        let stage = &mut Stage::over(database).await;
        let fire = Command::Fire {
            entry: Entry::Enqueue,
            event: Event::PigeonAlone,
            subject: 0,
            recipients: vec![0],
        };
        let commands = [fire, Command::Hang(1), Command::Advance(9), Command::Hang(1), Command::LetGo(1)];
        tell(stage, &commands).await.unwrap();
    }

    async fn the_database_agrees_with_the_model_after_every_step(database: TestDatabase) {
        let stage = RefCell::new(Stage::over(database).await);
        let seed = seed();
        let mut runner = TestRunner::new_with_rng(
            Config {
                cases: env::var("CAMPANILE_MODEL_CASES").map_or(20, |cases| cases.parse().unwrap()),
                failure_persistence: None,
                max_shrink_iters: 300,
                ..Config::default()
            },
            TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
        );
        let told = runner.run(&commands(), |commands| {
            let stage = &mut *stage.borrow_mut();
            let telling = tell(stage, &commands);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(telling))
        });
        let Err(failure) = told else {
            return;
        };
        let seed: String = uuids(&seed).map(|half| half.simple().to_string()).collect();
        let TestError::Fail(reason, commands) = failure else {
            panic!("{failure}");
        };
        let commands: Vec<_> = commands.iter().map(|command| format!("{command:?}")).collect();
        panic!("{}\n{reason}\nCAMPANILE_MODEL_SEED={seed}", commands.join("\n"));
    }
}

fn uuids(seed: &[u8]) -> impl Iterator<Item = uuid::Uuid> {
    let halves = seed.chunks(16);
    halves.map(|half| uuid::Uuid::from_slice(half).expect("a seed has 32 bytes"))
}

/// 32 bytes: the configured ones, in hexadecimal, or random ones.
fn seed() -> Vec<u8> {
    let Ok(asked) = env::var("CAMPANILE_MODEL_SEED") else {
        let halves = [uuid::Uuid::now_v7(), uuid::Uuid::now_v7()];
        return halves.iter().flat_map(|half| *half.as_bytes()).collect();
    };
    let bytes = (0..asked.len() / 2).map(|n| u8::from_str_radix(&asked[2 * n..2 * n + 2], 16));
    bytes.collect::<Result<_, _>>().unwrap()
}

/// One sequence: the commands, and then the steps that bring everything to its end.
async fn tell(stage: &mut Stage, commands: &[Command]) -> Result<(), TestCaseError> {
    stage.empty().await;
    let mut model = Model::new();
    for (number, command) in commands.iter().enumerate() {
        step(stage, &mut model, number, command).await?;
    }
    for channel in REMOTE {
        for command in [
            Command::Say(channel, Word::Accepted),
            Command::Resume(channel),
        ] {
            step(stage, &mut model, commands.len(), &command).await?;
        }
    }
    // A lease, and then the pause after it.
    for command in [Command::Advance(9), Command::Deliver(1_000)] {
        step(stage, &mut model, commands.len(), &command).await?;
    }
    let open = model
        .deliveries
        .values()
        .filter(|delivery| !delivery.state.is_end());
    same("deliveries that did not end", &open.count(), &0)?;
    // Crashed workers report late, which must change nothing.
    for worker in 1..WORKERS {
        while model
            .held
            .get(&worker)
            .is_some_and(|rounds| !rounds.is_empty())
        {
            step(stage, &mut model, commands.len(), &Command::LetGo(worker)).await?;
        }
    }
    Ok(())
}

async fn step(
    stage: &mut Stage,
    model: &mut Model,
    number: usize,
    command: &Command,
) -> Result<(), TestCaseError> {
    let expected = model.apply(command);
    let answer = stage.perform(command, model).await;
    let at = format!("command {number}, {command:?}");
    same(&format!("the answer to {at}"), &answer, &expected)?;
    stage.look().await;
    let (seen, promised) = (stage.picture().await, model.picture());
    let without = |these: &[String], those: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .cloned()
            .collect()
    };
    if seen != promised {
        return Err(TestCaseError::fail(format!(
            "after {at} there is {:#?} and there should be {:#?}",
            without(&seen, &promised),
            without(&promised, &seen)
        )));
    }
    same(
        &format!("after {at}"),
        &stage.impossible().await,
        &Vec::new(),
    )?;
    stage.hold_the_clock(model).await;
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), TestCaseError> {
    if found == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!(
        "{what}: {found:#?} instead of {expected:#?}"
    )))
}
