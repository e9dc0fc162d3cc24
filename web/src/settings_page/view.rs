//! What the page **shows**: the matrix in words, through one template.

use std::collections::BTreeSet;

use campanile::preferences::{CategoryRow, Cell, EventRow, Matrix};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::problem::{PREFERENCES_CHANGED, Problem};
use crate::settings_page::words::{SettingsPage, capital, fill};

/// The name of the template; `.html` makes minijinja escape its values.
const TEMPLATE: &str = "settings.html";

/// The page of a host, in its words.
#[derive(Debug)]
pub(crate) struct Page {
    words: SettingsPage,
    templates: Environment<'static>,
}

/// The result of the form that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Note<'n> {
    /// This switch was turned.
    Saved { category: &'n str, channel: &'n str },
    /// Nothing was changed.
    Refused(&'n Problem),
}

#[derive(Serialize)]
struct View<'v> {
    words: &'v SettingsPage,
    direction: &'static str,
    version: String,
    status: Option<Status>,
    channels: Vec<String>,
    rows: Vec<Row>,
}

/// A line that says what just happened.
#[derive(Serialize)]
struct Status {
    tone: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Row {
    category: &'static str,
    name: String,
    description: Option<&'static str>,
    events: Vec<&'static str>,
    /// One for each channel of the page; `None` where the category does not use the channel.
    switches: Vec<Option<Switch>>,
}

#[derive(Serialize)]
struct Switch {
    channel: &'static str,
    channel_name: String,
    name: String,
    on: bool,
    locked: bool,
    reason: Option<String>,
    saved: bool,
}

impl Page {
    pub(crate) fn new(words: SettingsPage) -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates
            .add_template(TEMPLATE, include_str!("page.html"))
            .expect("the template is well-formed");
        Self { words, templates }
    }

    pub(super) fn render(&self, matrix: &Matrix, note: Option<Note<'_>>) -> String {
        let channels: BTreeSet<_> = matrix
            .categories
            .iter()
            .flat_map(|row| &row.channels)
            .map(|cell| cell.channel)
            .collect();
        let rows = matrix.categories.iter();
        let rows: Vec<_> = rows.map(|row| self.row(row, &channels, note)).collect();
        let view = View {
            words: &self.words,
            direction: self.words.direction(),
            version: matrix.version(),
            status: self.status(&rows, note),
            channels: channels.iter().map(|it| self.words.name(it)).collect(),
            rows,
        };
        let template = self.templates.get_template(TEMPLATE);
        let html = template.and_then(|template| template.render(Serde(&view)));
        html.expect("the view has what the template shows")
    }

    fn row(&self, row: &CategoryRow, channels: &BTreeSet<&str>, note: Option<Note<'_>>) -> Row {
        let name = self.words.name(row.category);
        let switches = channels.iter().map(|channel| {
            let cell = row.channels.iter().find(|cell| cell.channel == *channel)?;
            let saved = matches!(note, Some(Note::Saved { category, channel })
                if category == row.category && channel == cell.channel);
            Some(self.switch(&name, cell, saved))
        });
        Row {
            switches: switches.collect(),
            name,
            category: row.category,
            description: row.description,
            events: row.events.iter().map(|event| event.description).collect(),
        }
    }

    fn switch(&self, category: &str, cell: &Cell, saved: bool) -> Switch {
        let channel_name = self.words.name(cell.channel);
        let places = [
            ("{channel}", channel_name.as_str()),
            ("{category}", category),
        ];
        Switch {
            channel: cell.channel,
            name: fill(&self.words.switch, &places),
            // Events of a locked switch are sent, whatever was chosen.
            on: cell.enabled || cell.locked,
            locked: cell.locked,
            reason: self.reason(&channel_name, cell),
            saved,
            channel_name,
        }
    }

    fn reason(&self, channel: &str, cell: &Cell) -> Option<String> {
        let pattern = match (cell.critical.is_empty(), cell.locked) {
            (true, _) => return None,
            (false, true) => &self.words.always,
            (false, false) => &self.words.partly,
        };
        let events: Vec<_> = cell.critical.iter().map(sentence).collect();
        let places = [("{channel}", channel), ("{events}", &events.join("; "))];
        Some(fill(pattern, &places))
    }

    fn status(&self, rows: &[Row], note: Option<Note<'_>>) -> Option<Status> {
        let words = &self.words;
        let Note::Refused(problem) = note? else {
            let mut switches = rows.iter().flat_map(|row| row.switches.iter().flatten());
            // A link may name a switch that does not exist.
            let saved = switches.find(|switch| switch.saved)?;
            let pattern = if saved.on { &words.on } else { &words.off };
            let now = fill(pattern, &[("{switch}", &saved.name)]);
            return Some(Status {
                tone: "good",
                text: format!("{}. {now}", words.saved),
            });
        };
        let why = match problem.kind() {
            PREFERENCES_CHANGED => words.changed.clone(),
            _ => capital(problem.detail()),
        };
        Some(Status {
            tone: "bad",
            text: format!("{}. {why}", words.failed),
        })
    }
}

/// A description without its full stop, for a list.
fn sentence(event: &EventRow) -> &'static str {
    event.description.trim_end_matches('.')
}
