//! An app as a host would build it: a database, a dispatcher with every channel, people with addresses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::{AddressBook, AddressError};
use campanile::operate::AddressTable;
use campanile::preferences::Choice;
use campanile::{Builder, Dispatcher, async_trait};
use campanile_email::{Capture, EmailSettings, Mail, Suppressions};
use campanile_inbox::{Inbox, Item, Page};
use campanile_pigeon::PigeonSettings;
use campanile_push::{Message, PushSettings, Recorder};

use crate::database::{Fixture, Kind, TestDatabase};
use crate::events::{Device, PasswordChanged, PastDue, Role, RoleChanged};

/// A dispatcher with every channel over a database of its own, and what the channels sent.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub database: TestDatabase,
    /// The dispatcher.
    pub dispatcher: Dispatcher,
    /// The behaviour of the pigeons, and what they carried.
    pub pigeons: PigeonSettings,
    mails: Capture,
    pushes: Recorder,
}

impl Fixture for App {
    async fn over(database: TestDatabase) -> Self {
        Self::over_database(database).await
    }
}

/// Mail that is captured, and the captured mail.
#[must_use]
pub fn capture() -> (EmailSettings, Capture) {
    let mails = Capture::in_memory();
    let settings = EmailSettings::new("Tower <bells@example.com>", mails.clone());
    (settings, mails)
}

impl App {
    /// An app in which Ada, Bob, Cyd and Eve have a mail address, a device and a perch.
    pub async fn over_database(database: TestDatabase) -> Self {
        let app = Self::without_addresses(database);
        for user in ["u_ada", "u_bob", "u_cyd", "u_eve"] {
            app.address(user, "email", &format!("{user}@example.com"))
                .await;
            app.address(user, "pigeon", "the tower").await;
        }
        app.address("u_ada", "push", "token_u_ada").await;
        app
    }

    /// The same app without any addresses.
    ///
    /// # Panics
    ///
    /// When the linked events and channels do not fit together.
    #[must_use]
    pub fn without_addresses(database: TestDatabase) -> Self {
        let (email, mails) = capture();
        let pushes = Recorder::default();
        let pigeons = PigeonSettings::default();
        let dispatcher = Dispatcher::builder()
            .database(database.database.clone())
            .with(email)
            .with(PushSettings::new(pushes.clone()))
            .with(pigeons.clone())
            .build()
            .expect("the events and channels of the tests fit together");
        Self {
            database,
            dispatcher,
            pigeons,
            mails,
            pushes,
        }
    }

    /// A builder for a second dispatcher on the same database and channels, to be changed by the test.
    pub fn builder(&self) -> Builder {
        Dispatcher::builder()
            .database(self.database.database.clone())
            .with(EmailSettings::new(
                "Tower <bells@example.com>",
                self.mails.clone(),
            ))
            .with(PushSettings::new(self.pushes.clone()))
            .with(self.pigeons.clone())
    }

    /// Gives a user an address.
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn address(&self, user: &str, channel: &str, address: &str) {
        AddressTable::new(self.database.database.clone())
            .add(user, channel, address)
            .await
            .expect("the address can be stored");
    }

    /// Puts an address on the suppression list.
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn suppress(&self, address: &str) {
        Suppressions::new(self.database.database.clone())
            .add(address, "it bounced")
            .await
            .expect("the address can be stored");
    }

    /// Switches a cell of a user's preferences.
    ///
    /// # Panics
    ///
    /// When the cell does not exist.
    pub async fn choose(&self, user: &str, category: &str, channel: &str, choice: Choice) {
        let preferences = self.dispatcher.preferences_of(user).expect("a valid id");
        let set = preferences.set(category, channel, choice).await;
        set.expect("the cell exists");
    }

    /// The first page of a user's inbox.
    ///
    /// # Panics
    ///
    /// When the database does not answer.
    pub async fn inbox(&self, user: &str) -> Vec<Item> {
        let inbox = Inbox::for_user(&self.database.database, user).expect("a valid id");
        let page = Page {
            limit: 100,
            ..Page::default()
        };
        inbox.feed(page).await.expect("the inbox can be read").items
    }

    /// The mails that were sent.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        let mails = self.mails.mails();
        mails.into_iter().map(|captured| captured.mail).collect()
    }

    /// The push messages that were sent.
    #[must_use]
    pub fn pushes(&self) -> Vec<Message> {
        self.pushes.messages()
    }

    /// The statement with which a host begins a writing transaction on this database.
    #[must_use]
    pub fn begin(&self) -> &'static str {
        match self.database.kind {
            Kind::Postgres => "begin",
            Kind::Sqlite => "begin immediate",
        }
    }

    /// Bob changed somebody's role.
    #[must_use]
    pub fn role_changed(&self, new_role: Role) -> RoleChanged {
        RoleChanged {
            org_name: "Tower".into(),
            actor_name: "Bob".into(),
            before: Role::Member,
            new_role,
        }
    }

    /// Twelve euros are overdue.
    #[must_use]
    pub fn past_due(&self) -> PastDue {
        PastDue {
            amount: "12 EUR".into(),
            due: None,
            pay_url: "/pay".into(),
        }
    }

    /// The password was changed on a laptop.
    #[must_use]
    pub fn password_changed(&self) -> PasswordChanged {
        PasswordChanged {
            device: Device {
                name: "laptop".into(),
            },
        }
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    ///
    /// When it does not hold within thirty seconds: a loaded machine takes long to print a backtrace.
    pub async fn eventually(&self, condition: impl AsyncFn() -> bool) {
        let wait = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .expect("the condition holds within thirty seconds");
    }
}

/// An address book that never answers.
#[derive(Debug, Clone, Copy)]
pub struct BrokenBook;

#[async_trait]
impl AddressBook for BrokenBook {
    async fn addresses(
        &self,
        _: &str,
        _: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError> {
        Err(AddressError::new("the office is closed"))
    }
}

/// A host's own address book, in which everybody has an address. It records the queries.
#[derive(Debug, Clone, Default)]
pub struct HostBook {
    /// The channel and the number of users of every query.
    pub asked: Arc<Mutex<Vec<(String, usize)>>>,
}

#[async_trait]
impl AddressBook for HostBook {
    async fn addresses(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError> {
        let mut asked = self
            .asked
            .lock()
            .map_err(|_| AddressError::new("poisoned"))?;
        asked.push((channel.to_owned(), users.len()));
        let address = |user: &String| (user.clone(), vec![format!("{user}@host.example")]);
        Ok(users.iter().map(address).collect())
    }
}
