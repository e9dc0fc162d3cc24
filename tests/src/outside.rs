//! A dispatcher whose outside world can be watched from another process: mails are sent to a [provider](crate::provider) by the
//! real mailer, and pigeons write their scrolls into a file.
//!
//! Its settings are passed to a process in one environment variable.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use campanile::channel::{Delivery, Verdict};
use campanile::channel::{EMAIL, INBOX};
use campanile::{Builder, Database, Dispatcher, Registry, async_trait, notifiable_event};
use campanile_email::{Answer, Capabilities, EmailSettings, Mail, Mailer, Resend};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_push::{PushSettings, Recorder};
use serde::{Deserialize, Serialize};

/// The environment variable that holds an [`Outside`] as JSON.
const VARIABLE: &str = "CAMPANILE_TEST_OUTSIDE";

/// A bell rang: in the inbox, by mail and by pigeon. The text distinguishes the rings.
#[notifiable_event(
    "faults.bell.rang",
    category = "loft",
    channels(
        INBOX(title = "{{ text }}", body = "It rang."),
        EMAIL(subject = "{{ text }}", html = "<p>{{ text }}</p>"),
        PIGEON(scroll = "{{ text }}"),
    )
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct BellRang {
    pub text: String,
}

/// A letter came, by mail only: a recipient who does not get the mail is not notified.
#[notifiable_event(
    "faults.letter.came",
    category = "loft",
    channels(EMAIL(subject = "{{ text }}", html = "<p>{{ text }}</p>"))
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct LetterCame {
    pub text: String,
}

/// A sign was put up, in the inbox only.
#[notifiable_event(
    "faults.sign.up",
    category = "loft",
    channels(INBOX(title = "{{ text }}", body = "It is up."))
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SignUp {
    pub text: String,
}

/// Whether mails share a request to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_enums, reason = "made by tests")]
pub enum Mails {
    /// One mail in each request, under the delivery's own key.
    Alone,
    /// As many as fit.
    Together,
}

/// What pigeons do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_enums, reason = "made by tests")]
pub enum Pigeons {
    /// They arrive.
    Arrive,
    /// They arrive after this many milliseconds.
    TakeMillis(u64),
    /// The channel panics.
    Panic,
    /// The channel never answers.
    Hang,
    /// They arrive, and the channel blocks its thread for this many milliseconds on the way.
    BlockMillis(u64),
}

/// How a dispatcher is set up, in this process or in another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "made by tests")]
pub struct Outside {
    /// The URL of the provider.
    pub provider: String,
    /// Where pigeons write the key of each scroll that arrived.
    pub ledger: PathBuf,
    /// Whether mails share a request.
    pub mails: Mails,
    /// What pigeons do.
    pub pigeons: Pigeons,
    /// How long a call of the mailer may take.
    pub mail_millis: u64,
    /// How long an attempt may take.
    pub attempt_millis: u64,
    /// How long a worker's lease lasts, unless it renews it.
    pub lease_millis: u64,
    /// How many deliveries a worker claims at a time.
    pub batch: usize,
    /// How many threads the process has.
    pub threads: usize,
    /// Event types that this binary does not know, as one of an older version of the app.
    pub unknown_events: Vec<String>,
    /// Channels that this binary does not link.
    pub unlinked: Vec<String>,
}

impl Outside {
    /// The settings from the process that started this one.
    ///
    /// # Errors
    ///
    /// When the variable is missing or cannot be parsed.
    pub fn from_environment() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(serde_json::from_str(&std::env::var(VARIABLE)?)?)
    }

    /// The environment variable that passes the settings to another process.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn variable(&self) -> (&'static str, String) {
        (
            VARIABLE,
            serde_json::to_string(self).expect("text serializes"),
        )
    }

    /// A builder with these settings, to be changed by the test.
    ///
    /// # Panics
    ///
    /// When the pigeons' ledger cannot be opened.
    pub fn builder(&self, database: impl Into<Database>) -> Builder {
        let resend = Resend::at(&self.provider, "re_of_a_test".to_owned())
            .expect("the provider is on this machine")
            .with_timeout(Duration::from_millis(self.mail_millis));
        let mailer: Arc<dyn Mailer> = match self.mails {
            Mails::Alone => Arc::new(OneByOne(resend)),
            Mails::Together => Arc::new(resend),
        };
        let batch = self.batch;
        let mut builder = Dispatcher::builder()
            .database(database)
            .with(EmailSettings::new("Tower <bells@example.com>", mailer))
            .with(PushSettings::new(Recorder::default()))
            .with(self.pigeon_settings())
            .attempt_timeout(Duration::from_millis(self.attempt_millis))
            .lease(Duration::from_millis(self.lease_millis));
        for channel in [&EMAIL, &PIGEON] {
            if !self.unlinked.iter().any(|name| name == channel.name()) {
                builder = builder.tune(channel, move |settings| {
                    // A provider on this machine does not have Resend's default limit.
                    let policy = settings.batch(batch).concurrency(8).max_attempts(12);
                    policy.calls_per_second(1_000_000)
                });
            }
        }
        if !self.unknown_events.is_empty() || !self.unlinked.is_empty() {
            builder = builder.registry(self.registry());
        }
        builder
    }

    /// The registry of a binary that lacks some events and channels.
    fn registry(&self) -> Registry {
        let all = Registry::collect().expect("this binary's events and channels fit together");
        let unlinked = |name: &str| self.unlinked.iter().any(|unlinked| unlinked == name);
        let events = all.events().filter(|event| {
            !self
                .unknown_events
                .iter()
                .any(|unknown| unknown == event.event_type)
                && !event
                    .channels
                    .iter()
                    .any(|used| unlinked(used.channel.name()))
        });
        let channels = all
            .channels()
            .filter(|channel| !unlinked(channel.declaration.name()));
        Registry::new(events, channels.copied()).expect("fewer of them fit together as well")
    }

    fn pigeon_settings(&self) -> PigeonSettings {
        let ledger = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.ledger)
            .expect("the pigeons' ledger can be opened");
        let pigeons = self.pigeons;
        PigeonSettings::new(move |delivery| match pigeons {
            Pigeons::Arrive => write(&ledger, delivery, Duration::ZERO),
            Pigeons::TakeMillis(time) => write(&ledger, delivery, Duration::from_millis(time)),
            Pigeons::Panic => Flight::Crashes,
            Pigeons::Hang => Flight::NeverEnds,
            Pigeons::BlockMillis(time) => {
                std::thread::sleep(Duration::from_millis(time));
                write(&ledger, delivery, Duration::ZERO)
            }
        })
    }
}

/// One write of one line: the operating system does not mix it with another's.
fn write(mut ledger: &std::fs::File, delivery: &Delivery, flight: Duration) -> Flight {
    let line = format!("{}\n", delivery.idempotency_key());
    match ledger.write_all(line.as_bytes()) {
        Ok(()) => Flight::EndsAfter(flight, Verdict::accepted()),
        Err(error) => Flight::Ends(Verdict::retry(error.to_string())),
    }
}

/// Another mailer, one mail at a time.
struct OneByOne<M>(M);

#[async_trait]
impl<M: Mailer> Mailer for OneByOne<M> {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        self.0.send(mails).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities().with_max_batch(1)
    }
}
