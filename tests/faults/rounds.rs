//! How often a scenario runs, and the random numbers of each run.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::stage::Stage;

/// One run of a scenario.
pub(crate) struct Round {
    /// Its number, which the texts of the round contain.
    pub(crate) number: u64,
    dice: StdRng,
}

impl Round {
    /// A random time up to this long.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        self.dice.random_range(Duration::ZERO..=longest)
    }

    /// A random number in a range.
    pub(crate) fn between(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        self.dice.random_range(range)
    }

    /// One of several.
    pub(crate) fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.between(0..=these.len() - 1)]
    }

    /// A text that is used only in this round.
    pub(crate) fn text(&self, word: &str) -> String {
        format!("{word} {}", self.number)
    }
}

/// The rounds of a scenario: one, unless the longer form is requested.
pub(crate) fn rounds(scenario: &str, stage: &Stage) -> impl Iterator<Item = Round> + use<> {
    let (seed, rounds) = (seed(), variable("CAMPANILE_FAULT_ROUNDS").unwrap_or(1));
    let name = format!("{scenario} on {:?}", stage.database.kind);
    eprintln!("{name}: rounds: {rounds}, CAMPANILE_FAULT_SEED={seed}");
    // Each scenario has its own random numbers, whichever scenarios run.
    let own = name.bytes().fold(seed, |mixed, byte| {
        mixed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
    });
    (0..rounds).map(move |number| Round {
        number,
        dice: StdRng::seed_from_u64(own.wrapping_add(number)),
    })
}

/// How many workers run at once in a scenario with a fleet: three, unless the longer form requests more.
pub(crate) fn processes() -> u64 {
    variable("CAMPANILE_FAULT_PROCESSES").unwrap_or(3)
}

/// The seed of this run: the configured one, or else the time.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        variable("CAMPANILE_FAULT_SEED").unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.unwrap_or_default().as_secs()
        })
    })
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not `{value}`")))
}
