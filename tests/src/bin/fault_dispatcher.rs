//! A process that dispatches until it is killed, and writes a line before and after each dispatch: a dispatch reported as done
//! must be stored, one reported as failed must not be stored, and no dispatch may be stored in part.
//!
//! `campanile-fault-dispatcher DATABASE_URL WAY NAME PEOPLE`, where the way is `dispatch`, `enqueue` or `enqueue_in`.
//! `CAMPANILE_TEST_PACE` is the pause between two dispatches, in milliseconds.

use std::io::Write as _;
use std::time::Duration;

use campanile::database::each_database;
use campanile::{Database, DispatchError, Dispatcher, Notice, NotifiableEvent as _};
use campanile_tests::outside::{BellRang, Outside};
use sqlx::Executor as _;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, way, name, people] = &arguments[..] else {
        return Err("usage: campanile-fault-dispatcher DATABASE_URL WAY NAME PEOPLE".into());
    };
    let database = Database::connect(url).await?;
    let dispatcher = Outside::from_environment()?.builder(database).build()?;
    let people: Vec<String> = (0..people.parse::<usize>()?)
        .map(|n| format!("u_{n}"))
        .collect();
    let pace = match std::env::var("CAMPANILE_TEST_PACE") {
        Ok(pace) => Duration::from_millis(pace.parse()?),
        Err(_) => Duration::ZERO,
    };
    for number in 0_u32.. {
        let text = format!("{name}_{number}");
        say(&format!("begun {text}"))?;
        let bell = BellRang { text: text.clone() };
        let told = tell(&dispatcher, way, bell.about(&text).to(&people), &text).await;
        match told {
            Ok(admitted) => say(&format!("done {text} {admitted}"))?,
            // The database may be down: the failure is reported, and the next dispatch is tried.
            Err(error) if nobody_can_know(&*error) => say(&format!("unknown {text}: {error}"))?,
            Err(error) => say(&format!("failed {text}: {error}"))?,
        }
        tokio::time::sleep(pace).await;
    }
    Ok(())
}

async fn tell(
    dispatcher: &Dispatcher,
    way: &str,
    notice: Notice,
    text: &str,
) -> Result<usize, Failure> {
    Ok(match way {
        "dispatch" => dispatcher.dispatch(notice).await?.admitted,
        "enqueue" => dispatcher.enqueue(notice).await?.admitted,
        "enqueue_in" => each_database!(dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(begin(dispatcher)).await?;
            let action = sqlx::query("insert into host_action values ($1)").bind(text);
            transaction.execute(action).await?;
            let report = dispatcher.enqueue_in(&mut transaction, notice).await?;
            transaction.commit().await?;
            report.admitted
        }),
        _ => return Err(format!("no way `{way}` is known").into()),
    })
}

/// Whether a commit may have succeeded although its answer was lost: the host's own or campanile's.
fn nobody_can_know(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<sqlx::Error>()
        || error
            .downcast_ref::<DispatchError>()
            .is_some_and(|error| error.code() == "COMMIT_UNKNOWN")
}

fn begin(dispatcher: &Dispatcher) -> &'static str {
    match dispatcher.database().kind() {
        "SQLite" => "begin immediate",
        _ => "begin",
    }
}

/// One write of one line, read by the test that started this process.
fn say(line: &str) -> std::io::Result<()> {
    std::io::stdout().write_all(format!("{line}\n").as_bytes())
}
