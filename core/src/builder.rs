//! Builds a [`Dispatcher`]. Everything is checked here, and all problems are reported at once, so that none is left for the
//! first notification to find.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::channel::address::AddressBook;
use crate::channel::erasure::ErasureKey;
use crate::channel::policy::Policy;
use crate::channel::setup::{Settings, Setup};
use crate::channel::{ChannelDeclaration, LocalChannel, RegisteredChannel, Transport};
use crate::database::Database;
use crate::database::statement::{self, Statement};
use crate::database::wake::{self, Signal, WakeUp};
use crate::deliver::Deliverer;
use crate::deliver::bulkhead::Bulkhead;
use crate::deliver::left_alone::LeftAlone;
use crate::deliver::prune::PruneStatements;
use crate::deliver::remote::Remote;
use crate::deliver::remote::Remotes;
use crate::dispatch::Steps;
use crate::dispatch::write::Writer;
use crate::dispatcher::Dispatcher;
use crate::limits::Limits;
use crate::operate::Operations;
use crate::operate::addresses::AddressTable;
use crate::plan::planner::Planner;
use crate::plan::registry::{Registry, RegistryError, how_to_link};
use crate::plan::render::HttpLinks;
use crate::store::{LocalInsert, Statements};

/// Collects what a dispatcher needs; see [`Dispatcher::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    database: Option<Database>,
    registry: Option<Registry>,
    required: Vec<&'static ChannelDeclaration>,
    settings: Settings,
    address_book: Option<Arc<dyn AddressBook>>,
    erasure_key: Option<ErasureKey>,
    tunings: Vec<(&'static ChannelDeclaration, Tuning)>,
    wake_up: WakeUp,
    limits: Limits,
}

/// How a host tunes a channel's policy.
type Tuning = Box<dyn Fn(Policy) -> Policy + Send + Sync>;

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            database: None,
            registry: None,
            required: Vec::new(),
            settings: Settings::default(),
            address_book: None,
            erasure_key: None,
            tunings: Vec::new(),
            wake_up: WakeUp::default(),
            limits: Limits {
                max_recipients: 100_000,
                chunk: 10_000,
                inline_deliveries: 100,
                attempt_timeout: Duration::from_secs(10),
                lease: Duration::from_secs(30),
                lock_wait: Duration::from_secs(5),
                http_links: HttpLinks::default(),
            },
        }
    }

    /// The database to write to: a [`Database`], or a pool of the host's own.
    pub fn database(mut self, database: impl Into<Database>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// A registry made by hand, for a test. Default: every event and channel that is linked into the binary.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Channels that must be linked, even if no event names them yet.
    pub fn require(
        mut self,
        channels: impl IntoIterator<Item = &'static ChannelDeclaration>,
    ) -> Self {
        self.required.extend(channels);
        self
    }

    /// Settings of a channel, `EmailSettings { .. }` for example. Later settings of the same type replace earlier ones.
    pub fn with<T: Any + Send + Sync>(mut self, settings: T) -> Self {
        self.settings.insert(settings);
        self
    }

    /// The host's own address lookup, instead of the table `notification_addresses`.
    pub fn address_book(mut self, address_book: impl AddressBook) -> Self {
        self.address_book = Some(Arc::new(address_book));
        self
    }

    /// Keeps a keyed hash of a forgotten user's suppressed address, so that whoever complained is not mailed again if the address
    /// comes back. Without a key no hash is kept. Default: the environment variable `CAMPANILE_ERASURE_KEY`, if it is set. Give
    /// the same key to every binary that forgets users or sends.
    pub fn erasure_key(mut self, key: ErasureKey) -> Self {
        self.erasure_key = Some(key);
        self
    }

    /// The maximum number of recipients of one dispatch. Default: 100,000.
    pub fn max_recipients(mut self, max: usize) -> Self {
        self.limits.max_recipients = max;
        self
    }

    /// The maximum number of recipients in one statement. Default: 10,000.
    pub fn chunk(mut self, recipients: usize) -> Self {
        self.limits.chunk = recipients.max(1);
        self
    }

    /// How many remote deliveries one `dispatch` attempts itself before it leaves the rest to a worker. Default: 100.
    pub fn inline_deliveries(mut self, max: usize) -> Self {
        self.limits.inline_deliveries = max;
        self
    }

    /// How long one attempt may take, at most an hour, unless the channel's policy sets its own
    /// [`attempt_timeout`](crate::channel::policy::Policy::attempt_timeout). A dispatch and `deliver_due` never wait longer than this
    /// for one channel. Default: 10 seconds.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.limits.attempt_timeout =
            timeout.clamp(Duration::from_millis(1), Duration::from_hours(1));
        self
    }

    /// How long a worker may be silent before another takes over its deliveries. Default: 30 seconds. A worker renews its leases
    /// three times in that time.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.limits.lease = lease.clamp(Duration::from_millis(100), Duration::from_hours(1));
        self
    }

    /// Changes a channel's policy: how its deliveries are retried, and how much of the process they may use:
    /// `.tune(&EMAIL, |policy| policy.calls_per_second(2))`. Several calls are applied in order to the channel's own policy.
    pub fn tune(
        mut self,
        channel: &'static ChannelDeclaration,
        tuning: impl Fn(Policy) -> Policy + Send + Sync + 'static,
    ) -> Self {
        self.tunings.push((channel, Box::new(tuning)));
        self
    }

    /// How workers in other processes learn of queued deliveries. Default: by polling. A worker on this dispatcher or a clone of
    /// it always learns of them at once.
    pub fn wake_up(mut self, how: WakeUp) -> Self {
        self.wake_up = how;
        self
    }

    /// How long a dispatch on Postgres waits for a window that another open transaction has locked, before it fails with a
    /// transient error. Default: 5 seconds. Inside the host's transaction the host's `lock_timeout` applies. The wait counts
    /// towards the window.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.limits.lock_wait = wait.max(Duration::from_millis(1));
        self
    }

    /// Whether links in notifications may be `http`. Default: only to this machine.
    pub fn http_links(mut self, links: HttpLinks) -> Self {
        self.limits.http_links = links;
        self
    }

    /// Checks everything and builds the dispatcher and its channels. Nothing is read from or written to the database.
    ///
    /// # Errors
    ///
    /// All problems at once: whatever [`Registry::new`] refuses, a required channel that is not linked, channel settings that are
    /// missing or wrong. Without a database that alone is reported.
    pub fn build(self) -> Result<Dispatcher, RegistryError> {
        let mut problems = Vec::new();
        let (registry, linked) = match self.registry.map_or_else(Registry::collect, Ok) {
            Ok(registry) => {
                let linked = registry.channels().copied().collect();
                (Some(registry), linked)
            }
            Err(error) => {
                problems.extend_from_slice(error.problems());
                (None, error.channels().to_vec())
            }
        };
        problems.extend(unlinked(&self.required, &linked));
        let Some(database) = self.database else {
            // Channels are built with the database, so their settings are checked only if it is set.
            problems.push(NO_DATABASE.to_owned());
            return Err(RegistryError::from_problems(problems));
        };
        let address_book = self
            .address_book
            .unwrap_or_else(|| Arc::new(AddressTable::new(database.clone())));
        let erasure_key = erasure_key(self.erasure_key, &mut problems);
        let setup = Setup {
            settings: &self.settings,
            database: &database,
            address_book: &address_book,
            erasure_key: erasure_key.as_ref(),
        };
        let (locals, mut channels) = build_channels(&linked, setup, &mut problems);
        problems.extend(tune(&mut channels, &self.tunings));
        let Some(registry) = registry.filter(|_| problems.is_empty()) else {
            return Err(RegistryError::from_problems(problems));
        };
        Ok(assemble(Parts {
            locals,
            registry,
            channels,
            database,
            address_book,
            erasure_key,
            limits: self.limits,
            wake_up: self.wake_up,
        }))
    }
}

/// The checked parts of a dispatcher.
struct Parts {
    locals: Vec<LocalInsert>,
    registry: Registry,
    channels: Remotes,
    database: Database,
    address_book: Arc<dyn AddressBook>,
    erasure_key: Option<ErasureKey>,
    limits: Limits,
    wake_up: WakeUp,
}

fn assemble(parts: Parts) -> Dispatcher {
    let Parts {
        locals,
        registry,
        channels,
        database,
        address_book,
        erasure_key,
        limits,
        wake_up,
    } = parts;
    statement::compose(&database);
    let forget_statements = forgetting(&locals, &channels).into();
    let (registry, channels) = (Arc::new(registry), Arc::new(channels));
    let worker = Uuid::now_v7();
    let planner = Planner {
        registry: Arc::clone(&registry),
        max_recipients: limits.max_recipients,
        http_links: limits.http_links,
    };
    let writer = Writer {
        planner,
        database: database.clone(),
        statements: Statements::compose(&locals),
        channels: Arc::clone(&channels),
        limits,
        worker,
    };
    let deliverer = Arc::new(Deliverer {
        database,
        registry,
        channels,
        address_book,
        limits,
        worker,
        left_alone: LeftAlone::default(),
        running: AtomicUsize::new(0),
        queued: Arc::new(Signal::new(wake::DELIVERIES, wake_up)),
        prune_statements: PruneStatements {
            read: of_each(&locals, |local| local.prune),
            unread: of_each(&locals, |local| local.prune_unread),
        },
    });
    let steps = Steps {
        writer,
        deliverer: Arc::clone(&deliverer),
        commits: Arc::new(Signal::new(wake::COMMITS, wake_up)),
    };
    Dispatcher {
        steps: Arc::new(steps),
        operations: Operations {
            deliverer,
            forget_statements,
            erasure_key,
        },
    }
}

/// How many address look-ups of one channel run at once in one process.
const MAX_LOOK_UPS: usize = 8;

/// The key that was given, or that of the environment.
fn erasure_key(given: Option<ErasureKey>, problems: &mut Vec<String>) -> Option<ErasureKey> {
    if given.is_some() {
        return given;
    }
    ErasureKey::from_environment().unwrap_or_else(|error| {
        problems.push(error.to_string());
        None
    })
}

/// The statements that erase a user from the channels' own tables.
fn forgetting(locals: &[LocalInsert], channels: &Remotes) -> Vec<&'static Statement> {
    let locals = locals.iter().flat_map(|local| local.statement.forget);
    let remotes = channels.values().flat_map(|remote| remote.channel.forget());
    locals.chain(remotes).copied().collect()
}

/// The statements of one kind of all local channels.
fn of_each(
    locals: &[LocalInsert],
    kind: impl Fn(&LocalChannel) -> &'static [&'static Statement],
) -> Vec<&'static Statement> {
    let statements = locals.iter().flat_map(|local| kind(&local.statement));
    statements.copied().collect()
}

const NO_DATABASE: &str =
    "no database is set: give a pool or `Database::connect(url).await?` to `.database(..)`";

fn unlinked(required: &[&'static ChannelDeclaration], linked: &[RegisteredChannel]) -> Vec<String> {
    let is_linked = |name| {
        linked
            .iter()
            .any(|channel| channel.declaration.name() == name)
    };
    required
        .iter()
        .filter(|channel| !is_linked(channel.name()))
        .map(|channel| {
            format!(
                "no crate that registers the required channel `{}` is linked; {}",
                channel.name(),
                how_to_link(channel)
            )
        })
        .collect()
}

fn build_channels(
    linked: &[RegisteredChannel],
    setup: Setup<'_>,
    problems: &mut Vec<String>,
) -> (Vec<LocalInsert>, Remotes) {
    let (mut locals, mut remotes) = (Vec::new(), Remotes::new());
    for registered in linked {
        let channel = registered.declaration.name();
        match registered.transport {
            Transport::Local(statement) => locals.push(LocalInsert { channel, statement }),
            Transport::Remote(build) => match build(&setup) {
                Ok(remote) => {
                    let policy = remote.policy();
                    let remote = Remote {
                        bulkhead: Bulkhead::new(&policy),
                        wake: Notify::new(),
                        look_ups: Arc::new(Semaphore::new(MAX_LOOK_UPS)),
                        channel: remote,
                        policy,
                    };
                    remotes.insert(channel, remote);
                }
                Err(error) => {
                    problems.push(format!(
                        "channel `{channel}` ({}): {error}",
                        registered.location
                    ));
                }
            },
        }
    }
    (locals, remotes)
}

/// Tunes the channels' policies, and returns what is wrong with them.
fn tune(channels: &mut Remotes, tunings: &[(&ChannelDeclaration, Tuning)]) -> Vec<String> {
    let mut problems = Vec::new();
    for (channel, tuning) in tunings {
        match channels.get_mut(channel.name()) {
            Some(remote) => remote.policy = tuning(remote.policy),
            None => problems.push(format!(
                "the channel `{}` is tuned, but no remote channel of this name could be built",
                channel.name()
            )),
        }
    }
    for (name, remote) in channels {
        let wrong = remote.policy.problems();
        problems.extend(
            wrong
                .iter()
                .map(|problem| format!("channel `{name}`: {problem}")),
        );
        remote.bulkhead = Bulkhead::new(&remote.policy);
    }
    problems
}
