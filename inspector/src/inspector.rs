//! The **inspector**: a dispatcher with four events and three channels, and the captured mails and pushes.

use std::sync::Arc;

use campanile::channel::PUSH;
use campanile::channel::SetupError;
use campanile::database::Pool;
use campanile::operate::AddressTableError;
use campanile::{Database, Dispatcher, RegistryError, StoreError};
use campanile_email::{Capture, CapturedMail};
use campanile_push::{Message, PushSettings, Recorder};

use crate::guard::{self, ForeignRows};
use crate::mail::MailSender;
use crate::outage::Outages;
use crate::people;

/// How an inspector is started.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..Settings::default()`"
)]
pub struct Settings {
    /// How mails are sent or captured.
    pub mail: MailSender,
    /// What to do on a database with rows of another app.
    pub foreign_rows: ForeignRows,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mail: MailSender::Capture,
            foreign_rows: ForeignRows::Refused,
        }
    }
}

/// A running tour: its dispatcher, its people, its captured mails. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inspector {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dispatcher: Dispatcher,
    outages: Outages,
    mail: MailSender,
    capture: Option<Capture>,
    recorder: Recorder,
}

/// Why an inspector does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database does not answer, or is not a database.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// The database holds rows of another app.
    #[error(
        "this database holds notifications of another app, and the inspector fires events and changes preferences: give it a database of its own, or pass `--accept-foreign-rows`"
    )]
    ForeignRows,
    /// It is not known whether the database holds rows of another app.
    #[error(
        "the inspector cannot tell whether this database holds notifications of another app, so it does not start on it: give it a database of its own, or pass `--accept-foreign-rows`"
    )]
    Unguarded(#[source] StoreError),
    /// The mail sender is not set up.
    #[error("the mail sender cannot be used: {0}")]
    Mail(SetupError),
    /// The events and channels do not fit together.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The people's addresses were not written.
    #[error("the addresses of the people were not written")]
    Addresses(#[from] AddressTableError),
}

impl Inspector {
    /// Brings the database up to date, writes the people's addresses, and builds the dispatcher.
    ///
    /// # Errors
    ///
    /// A database that does not answer or is another app's, a mail sender that is not set up.
    pub async fn start(database: Database, settings: Settings) -> Result<Self, StartError> {
        let inspector = Self::open(database.clone(), settings).await?;
        database.migrate().await?;
        people::seed(&inspector.dispatcher().addresses()).await?;
        Ok(inspector)
    }

    /// Like [`Inspector::start`], for the command line of operations: the tables are not migrated, and the people's addresses are
    /// written if there are tables.
    ///
    /// # Errors
    ///
    /// As [`Inspector::start`].
    pub async fn open(database: Database, settings: Settings) -> Result<Self, StartError> {
        if settings.foreign_rows == ForeignRows::Refused
            && guard::is_foreign(&database)
                .await
                .map_err(StartError::Unguarded)?
        {
            return Err(StartError::ForeignRows);
        }
        let (outages, recorder) = (Outages::default(), Recorder::default());
        let (email, capture) = settings.mail.settings(&outages).map_err(StartError::Mail)?;
        let push = PushSettings::new(outages.around(PUSH.name(), recorder.clone()));
        let dispatcher = Dispatcher::builder()
            .database(database)
            .with(email)
            .with(push)
            .require([&campanile_inbox::INBOX])
            .build()?;
        // Without the addresses the next start would take rows that are dispatched now for another app's.
        let _ = people::seed(&dispatcher.addresses()).await;
        Ok(Self {
            inner: Arc::new(Inner {
                dispatcher,
                outages,
                mail: settings.mail,
                capture,
                recorder,
            }),
        })
    }

    /// The dispatcher of its events.
    #[must_use]
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.inner.dispatcher
    }

    pub(crate) fn outages(&self) -> &Outages {
        &self.inner.outages
    }

    pub(crate) fn mail_sender(&self) -> MailSender {
        self.inner.mail
    }

    pub(crate) fn database_name(&self) -> &'static str {
        match self.dispatcher().database().pool() {
            Pool::Postgres(_) => "PostgreSQL",
            Pool::Sqlite(_) => "SQLite",
        }
    }

    /// Captured mails, oldest first; none where mail is really sent.
    pub(crate) fn mails(&self) -> Vec<CapturedMail> {
        self.inner
            .capture
            .as_ref()
            .map(Capture::mails)
            .unwrap_or_default()
    }

    /// Recorded push messages, oldest first.
    pub(crate) fn pushes(&self) -> Vec<Message> {
        self.inner.recorder.messages()
    }
}
