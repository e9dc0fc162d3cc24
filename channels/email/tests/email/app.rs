//! An app with one event and the email channel, on SQLite in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use campanile::channel::EMAIL;
use campanile::channel::{AddressBook, AddressError};
use campanile::database::each_database;
use campanile::operate::AddressTable;
use campanile::{
    Database, DispatchReport, Dispatcher, NotifiableEvent as _, Outcome, async_trait,
    notifiable_event, sqlx,
};
use campanile_email::{Answer, Capabilities, EmailSettings, Mail, Mailer};

/// Somebody was welcomed.
#[notifiable_event(
    "app.user.welcomed",
    category = "welcome",
    dedup(window = "0s"),
    channels(EMAIL(
        subject = "Welcome, {{ name }}",
        html = "<p>Hello <b>{{ name }}</b></p>"
    ))
)]
pub(crate) struct Welcomed {
    pub(crate) name: String,
}

/// Somebody left.
#[notifiable_event(
    "app.user.left",
    category = "welcome",
    dedup(window = "0s"),
    channels(EMAIL(
        subject = "Bye, {{ name }}",
        html = "<!doctype html><html><body>Bye, {{ name }}</body></html>",
        text = "So long, {{ name }}",
    ))
)]
pub(crate) struct Left {
    pub(crate) name: String,
}

pub(crate) const FROM: &str = "Acme <no-reply@acme.example>";

pub(crate) struct App {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) database: Database,
}

impl App {
    pub(crate) async fn new(settings: EmailSettings) -> Self {
        let database = database().await;
        let dispatcher = Dispatcher::builder()
            .database(database.clone())
            .with(settings)
            .build()
            .unwrap();
        Self {
            dispatcher,
            database,
        }
    }

    /// With addresses that no table would take.
    pub(crate) async fn with_addresses(
        settings: EmailSettings,
        addresses: &[(&str, &str)],
    ) -> Self {
        let database = database().await;
        let book = addresses
            .iter()
            .map(|(user, address)| ((*user).to_owned(), vec![(*address).to_owned()]))
            .collect();
        let dispatcher = Dispatcher::builder()
            .database(database.clone())
            .with(settings)
            .address_book(Book(book))
            .build()
            .unwrap();
        Self {
            dispatcher,
            database,
        }
    }

    pub(crate) async fn address(&self, user: &str, address: &str) {
        AddressTable::new(self.database.clone())
            .add(user, "email", address)
            .await
            .unwrap();
    }

    pub(crate) async fn welcome(&self, users: &[&str]) -> DispatchReport {
        let event = Welcomed {
            name: "Ada & Co".into(),
        };
        self.dispatcher
            .dispatch(event.about("subject").to(users.iter().copied()))
            .await
            .unwrap()
    }

    /// Welcomes one user and tells how the mail ended.
    pub(crate) async fn welcome_one(&self, user: &str) -> Outcome {
        let report = self.welcome(&[user]).await;
        outcome(&report, user)
    }

    /// Runs a statement on the database.
    pub(crate) async fn execute(&self, statement: &str) {
        each_database!(&self.database, |pool| {
            sqlx::query(self.database.sql(statement))
                .execute(pool)
                .await
                .unwrap();
        });
    }

    /// Lets the pause before the next attempt be over, and makes that attempt.
    pub(crate) async fn retry(&self) {
        self.execute("update {campanile}notification_deliveries set run_at = 0")
            .await;
        self.dispatcher.deliver_due(100).await.unwrap();
    }
}

/// How one recipient's mail ended.
#[track_caller]
pub(crate) fn outcome(report: &DispatchReport, user: &str) -> Outcome {
    let mut outcomes = report.outcomes.iter();
    let found =
        outcomes.find(|line| line.recipient_user_id == user && line.channel == EMAIL.name());
    found.unwrap().outcome.clone()
}

pub(crate) async fn database() -> Database {
    let database = Database::connect("sqlite::memory:").await.unwrap();
    database.migrate().await.unwrap();
    database
}

struct Book(HashMap<String, Vec<String>>);

#[async_trait]
impl AddressBook for Book {
    async fn addresses(
        &self,
        _: &str,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError> {
        let known = users.iter().filter_map(|user| self.0.get_key_value(user));
        Ok(known
            .map(|(user, addresses)| (user.clone(), addresses.clone()))
            .collect())
    }
}

/// A mailer that answers as it is told and keeps what it was asked.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Arc<dyn Fn(&Mail) -> Answer + Send + Sync>,
    asked: Arc<Mutex<Vec<Mail>>>,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&Mail) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            asked: Arc::default(),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Mail> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Mailer for Scripted {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        self.asked.lock().unwrap().extend_from_slice(mails);
        mails.iter().map(|mail| (self.script)(mail)).collect()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().with_max_batch(10)
    }
}
