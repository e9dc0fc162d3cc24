//! A fourth channel: carrier pigeons. It depends on campanile (and tokio, to take its time), and a binary links it with `use campanile_pigeon as _;`.
//!
//! The behaviour of its pigeons is a setting, so that tests can make them fail, panic or hang.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use campanile::async_trait;
use campanile::channel::{Channel, ChannelDeclaration, Part, Transport};
use campanile::channel::{Delivery, Verdict};
use campanile::channel::{Setup, SetupError};
use tokio::sync::Semaphore;

/// The channel's name and parts.
pub const PIGEON: ChannelDeclaration = ChannelDeclaration::new(
    "pigeon",
    env!("CARGO_CRATE_NAME"),
    &[
        Part::text("scroll", 140),
        Part::line("perch", 40).optional(),
    ],
)
.showing_secrets();

campanile::register_channel!(PIGEON, Transport::Remote(build));

/// What a pigeon does with a scroll.
pub type Habit = Arc<dyn Fn(&Delivery) -> Flight + Send + Sync>;

/// How a flight ends.
#[derive(Debug, Clone)]
pub enum Flight {
    /// With a verdict.
    Ends(Verdict),
    /// With a verdict, after a while.
    EndsAfter(Duration, Verdict),
    /// With a verdict, once the gate lets it through. Each permit lets one pass.
    WaitsAt(Arc<Semaphore>, Verdict),
    /// In a panic.
    Crashes,
    /// Never.
    NeverEnds,
}

/// The settings: what the pigeons do, and how many scrolls one loft takes at a time.
#[derive(Clone)]
pub struct PigeonSettings {
    /// What a pigeon does with a scroll.
    pub habit: Habit,
    /// How many scrolls one loft takes at a time.
    pub loft: usize,
    /// Every scroll that arrived: the recipient and the text.
    pub arrived: Arc<Mutex<Vec<(String, String)>>>,
    /// How many lofts are working.
    pub aloft: Arc<Aloft>,
}

/// How many lofts are working, and the maximum at once.
#[derive(Debug, Default)]
pub struct Aloft {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Aloft {
    /// How many are working now.
    #[must_use]
    pub fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    /// The maximum number that worked at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn begin(&self) -> Landing<'_> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Landing(self)
    }
}

/// Counts one fewer when it is dropped, however the flight ends.
struct Landing<'a>(&'a Aloft);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl PigeonSettings {
    /// Pigeons with this habit, one at a time.
    pub fn new(habit: impl Fn(&Delivery) -> Flight + Send + Sync + 'static) -> Self {
        Self {
            habit: Arc::new(habit),
            loft: 1,
            arrived: Arc::default(),
            aloft: Arc::default(),
        }
    }

    /// Every scroll that arrived so far.
    #[must_use]
    pub fn arrived(&self) -> Vec<(String, String)> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.clone()
    }
}

impl Default for PigeonSettings {
    fn default() -> Self {
        Self::new(|_| Flight::Ends(Verdict::accepted()))
    }
}

impl std::fmt::Debug for PigeonSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PigeonSettings(..)")
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the form of `Transport::Remote`")]
fn build(setup: &Setup<'_>) -> Result<Arc<dyn Channel>, SetupError> {
    let settings = setup.settings::<PigeonSettings>().cloned();
    Ok(Arc::new(Loft(settings.unwrap_or_default())))
}

struct Loft(PigeonSettings);

#[async_trait]
impl Channel for Loft {
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
        let _landing = self.0.aloft.begin();
        let mut verdicts = Vec::with_capacity(batch.len());
        for delivery in batch {
            let verdict = match (self.0.habit)(delivery) {
                Flight::Ends(verdict) => verdict,
                Flight::EndsAfter(flight, verdict) => {
                    tokio::time::sleep(flight).await;
                    verdict
                }
                Flight::WaitsAt(gate, verdict) => {
                    if let Ok(permit) = gate.acquire().await {
                        permit.forget();
                    }
                    verdict
                }
                Flight::Crashes => panic!("the pigeon flew into a tower"),
                Flight::NeverEnds => std::future::pending().await,
            };
            if matches!(verdict, Verdict::Accepted { .. }) {
                let scroll = (delivery.user_id.clone(), delivery.part("scroll").to_owned());
                let mut arrived = self
                    .0
                    .arrived
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                arrived.push(scroll);
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    fn max_batch(&self) -> usize {
        self.0.loft
    }
}
