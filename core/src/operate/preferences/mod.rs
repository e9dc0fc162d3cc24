//! One user's settings: the matrix of categories and channels, and its switches. It reads and changes nobody else's row.

mod version;
mod error;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::database::error::StoreError;
use crate::event::EventDeclaration;
use crate::event::recipient::{self, InvalidInput};
use crate::plan::preference::{Choice, Choices};
use crate::plan::registry::Registry;
use crate::store::preferences;

pub use self::error::PreferenceError;

/// The settings of one user: read the matrix, switch cells.
///
/// Returned by [`Dispatcher::preferences_of`](crate::Dispatcher::preferences_of).
#[derive(Debug, Clone)]
pub struct UserPreferences<'a> {
    pub(super) database: &'a Database,
    registry: &'a Registry,
    pub(super) user: String,
}

/// Everything a settings page shows of one user: the categories, in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// One row of the page for each category.
    pub categories: Vec<CategoryRow>,
}

/// A category with its events and one cell for each channel they use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CategoryRow {
    /// The category.
    pub category: &'static str,
    /// Its title, if [`describe_category!`](crate::describe_category) gives one.
    pub description: Option<&'static str>,
    /// The events it holds.
    pub events: Vec<EventRow>,
    /// Its cells, in alphabetical order of the channels.
    pub channels: Vec<Cell>,
}

/// An event as the settings page lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    /// The event's type.
    pub event_type: &'static str,
    /// Its description, the doc comment.
    pub description: &'static str,
}

/// One switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// The channel.
    pub channel: &'static str,
    /// What the user chose, or the default. A locked cell stores the choice and ignores it.
    pub enabled: bool,
    /// Whether the choice changes nothing: the channel is critical for every event of the category that uses it.
    pub locked: bool,
    /// Why it is locked, or to which events a choice does not apply.
    pub reason: Option<String>,
    /// The events for which the channel is critical: the reason, for pages that show it in their own words.
    #[serde(skip)]
    pub critical: Vec<EventRow>,
}

/// A cell to switch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CellChange {
    /// The category.
    pub category: String,
    /// The channel.
    pub channel: String,
    /// On or off.
    pub enabled: bool,
}

impl<'a> UserPreferences<'a> {
    pub(crate) fn new(
        database: &'a Database,
        registry: &'a Registry,
        user: &str,
    ) -> Result<Self, InvalidInput> {
        recipient::check("user_id", user)?;
        Ok(Self {
            database,
            registry,
            user: user.to_owned(),
        })
    }

    /// Reads the matrix, in one query.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn matrix(&self) -> Result<Matrix, PreferenceError> {
        let rows = preferences::read(self.database, &self.user).await;
        Ok(self.matrix_of(rows.map_err(StoreError::from)?))
    }

    pub(super) fn matrix_of(&self, rows: Vec<preferences::Row>) -> Matrix {
        let mut choices = Choices::default();
        for row in rows {
            let choice = Choice::from_enabled(row.enabled);
            choices.insert(&self.user, &row.category, &row.channel, choice);
        }
        Matrix {
            categories: self
                .registry
                .categories()
                .map(|category| self.row(category, &choices))
                .collect(),
        }
    }

    /// Switches one cell. Muting a critical channel is kept, and does not apply to the events for which it is critical.
    ///
    /// # Errors
    ///
    /// [`PreferenceError::UnknownCategory`], [`PreferenceError::UnknownChannel`]; nothing is written then.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is written or it is not.
    pub async fn set(
        &self,
        category: &str,
        channel: &str,
        choice: Choice,
    ) -> Result<(), PreferenceError> {
        self.set_many(&[CellChange {
            category: category.to_owned(),
            channel: channel.to_owned(),
            enabled: choice == Choice::On,
        }])
        .await
    }

    /// Switches many cells, all or none. Of two changes of one cell the later counts.
    ///
    /// # Errors
    ///
    /// As [`UserPreferences::set`].
    ///
    /// # Cancel safety
    ///
    /// One statement: all are written or none.
    pub async fn set_many(&self, changes: &[CellChange]) -> Result<(), PreferenceError> {
        let cells = self.upsert(changes)?;
        let set = preferences::set(self.database, &self.user, &cells).await;
        Ok(set.map_err(StoreError::from)?)
    }

    /// The cells as their statement takes them. One upsert may not touch a row twice, and sorted rows do not deadlock.
    pub(super) fn upsert(
        &self,
        changes: &[CellChange],
    ) -> Result<Vec<preferences::Row>, PreferenceError> {
        let mut cells = BTreeMap::new();
        for change in changes {
            let (category, channel) = self.known(&change.category, &change.channel)?;
            cells.insert((category, channel), change.enabled);
        }
        let rows = cells.into_iter();
        let rows = rows.map(|((category, channel), enabled)| preferences::Row {
            category: category.to_owned(),
            channel: channel.to_owned(),
            enabled,
        });
        Ok(rows.collect())
    }

    fn known(
        &self,
        category: &str,
        channel: &str,
    ) -> Result<(&'static str, &'static str), PreferenceError> {
        let Some(known_category) = self.registry.categories().find(|known| *known == category)
        else {
            return Err(PreferenceError::UnknownCategory {
                category: category.to_owned(),
                known: self.registry.categories().collect(),
            });
        };
        let channels = channels_of(self.registry, known_category);
        match channels.get(channel) {
            Some(known_channel) => Ok((known_category, *known_channel)),
            None => Err(PreferenceError::UnknownChannel {
                category: category.to_owned(),
                channel: channel.to_owned(),
                known: channels.into_iter().collect(),
            }),
        }
    }

    fn row(&self, category: &'static str, choices: &Choices) -> CategoryRow {
        CategoryRow {
            category,
            description: self.registry.category_description(category),
            events: events_of(self.registry, category)
                .map(EventRow::from)
                .collect(),
            channels: channels_of(self.registry, category)
                .into_iter()
                .map(|channel| {
                    let (critical, ordinary): (Vec<_>, Vec<_>) = events_of(self.registry, category)
                        .filter(|event| event.channel(channel).is_some())
                        .partition(|event| event.is_critical(channel));
                    Cell {
                        channel,
                        enabled: choices.of(&self.user, category, channel) != Some(Choice::Off),
                        locked: ordinary.is_empty(),
                        reason: reason(&critical, &ordinary),
                        critical: critical.into_iter().map(EventRow::from).collect(),
                    }
                })
                .collect(),
        }
    }
}

impl From<&EventDeclaration> for EventRow {
    fn from(event: &EventDeclaration) -> Self {
        Self {
            event_type: event.event_type,
            description: event.description,
        }
    }
}

fn reason(critical: &[&EventDeclaration], ordinary: &[&EventDeclaration]) -> Option<String> {
    let names: Vec<_> = critical.iter().map(|event| event.event_type).collect();
    match (critical, ordinary) {
        ([], _) => None,
        (_, []) => Some(format!(
            "always sent, because it is critical: {}",
            names.join(", ")
        )),
        _ => Some(format!(
            "does not apply to {}, which is critical",
            names.join(", ")
        )),
    }
}

fn events_of<'r>(
    registry: &'r Registry,
    category: &'r str,
) -> impl Iterator<Item = &'static EventDeclaration> + 'r {
    registry
        .events()
        .filter(move |event| event.category == category)
}

fn channels_of(registry: &Registry, category: &str) -> BTreeSet<&'static str> {
    events_of(registry, category)
        .flat_map(|event| event.channels)
        .map(|used| used.channel.name())
        .collect()
}
