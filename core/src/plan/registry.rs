//! The **registry** knows every event that the app can send and every channel that it links.
//!
//! It is collected once, sorted once, and checked as a whole: it reports all problems at once, each with its place and how to fix
//! it. Tests can build one by hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::channel::{ChannelDeclaration, Need, Part, RegisteredChannel, Transport, is_word};
use crate::event::suggest::{did_you_mean, nearest};
use crate::event::{
    CategoryDeclaration, ChannelUse, EventDeclaration, MAX_WINDOW, RegisteredEvent, Until,
};
use crate::plan::render::Renderer;

/// Every notification that the app can send, and every channel that it can use.
#[derive(Debug)]
pub struct Registry {
    events: BTreeMap<&'static str, &'static EventDeclaration>,
    aliases: HashMap<&'static str, &'static EventDeclaration>,
    channels: BTreeMap<&'static str, RegisteredChannel>,
    categories: BTreeMap<&'static str, Option<&'static str>>,
    renderer: Renderer,
}

/// Every problem with the events and channels of this binary.
#[derive(Clone)]
pub struct RegistryError {
    problems: Vec<String>,
    channels: Vec<RegisteredChannel>,
}

/// The same as `Display`: this is what a `main` that returns the error prints.
impl std::fmt::Debug for RegistryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl RegistryError {
    /// Every problem, as a sentence with the places it concerns and what to do.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(crate) fn from_problems(problems: Vec<String>) -> Self {
        Self {
            problems,
            channels: Vec::new(),
        }
    }

    /// The linked channels.
    pub(crate) fn channels(&self) -> &[RegisteredChannel] {
        &self.channels
    }
}

impl std::fmt::Display for RegistryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(
            f,
            "{count} {noun} with the events and channels of this binary:"
        )?;
        for problem in &self.problems {
            write!(f, "\n  * {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RegistryError {}

impl Registry {
    /// Collects every event and channel linked into this binary.
    ///
    /// # Errors
    ///
    /// All problems at once; see [`Registry::new`].
    pub fn collect() -> Result<Self, RegistryError> {
        Self::with_categories(
            inventory::iter::<RegisteredEvent>
                .into_iter()
                .map(|event| event.0),
            inventory::iter::<RegisteredChannel>.into_iter().copied(),
            inventory::iter::<CategoryDeclaration>.into_iter().copied(),
        )
    }

    /// A registry of these events and channels, for a test.
    ///
    /// # Errors
    ///
    /// All problems at once: two events with the same type or alias, an event whose channel is not among the channels, two
    /// channels with the same name, a required part without a template or a template for an unknown part, a template that does
    /// not parse or fails on the event's example, a malformed type, category, window or expiry time, a secret field in a dedup
    /// key, a channel that shows secrets and writes rows with the dispatch.
    pub fn new(
        events: impl IntoIterator<Item = &'static EventDeclaration>,
        channels: impl IntoIterator<Item = RegisteredChannel>,
    ) -> Result<Self, RegistryError> {
        Self::with_categories(events, channels, [])
    }

    fn with_categories(
        events: impl IntoIterator<Item = &'static EventDeclaration>,
        channels: impl IntoIterator<Item = RegisteredChannel>,
        descriptions: impl IntoIterator<Item = CategoryDeclaration>,
    ) -> Result<Self, RegistryError> {
        let mut problems = Vec::new();
        let channels = index_channels(channels, &mut problems);
        let mut declared: Vec<_> = events.into_iter().collect();
        declared.sort_by_key(|event| (event.event_type, event.location));
        // An event whose registration is linked twice counts once.
        declared.dedup_by_key(|event| (event.event_type, event.location));
        for event in &declared {
            check_event(event, &channels, &mut problems);
        }
        let categories = index_categories(&declared, descriptions, &mut problems);
        let renderer = Renderer::new(&declared, &mut problems);
        for event in &declared {
            let wrong = renderer.try_example(event).into_iter();
            problems.extend(
                wrong.map(|text| {
                    format!("event `{}` ({}): {text}", event.event_type, event.location)
                }),
            );
        }
        let (events, aliases) = index_events(declared, &mut problems);
        if problems.is_empty() {
            Ok(Self {
                events,
                aliases,
                channels,
                categories,
                renderer,
            })
        } else {
            Err(RegistryError {
                problems,
                channels: channels.into_values().collect(),
            })
        }
    }

    /// Every event, sorted by its type.
    pub fn events(&self) -> impl Iterator<Item = &'static EventDeclaration> + '_ {
        self.events.values().copied()
    }

    /// The event with this type or alias.
    #[must_use]
    pub fn event(&self, event_type: &str) -> Option<&'static EventDeclaration> {
        let by_alias = || self.aliases.get(event_type);
        self.events.get(event_type).or_else(by_alias).copied()
    }

    /// Every event type and alias.
    pub(crate) fn event_types(&self) -> Vec<&'static str> {
        self.events
            .keys()
            .chain(self.aliases.keys())
            .copied()
            .collect()
    }

    /// The registered event type most similar to an unknown one.
    #[must_use]
    pub fn suggest(&self, event_type: &str) -> Option<&'static str> {
        nearest(event_type, self.events.keys().copied())
    }

    /// Every linked channel, sorted by its name.
    pub fn channels(&self) -> impl Iterator<Item = &RegisteredChannel> + '_ {
        self.channels.values()
    }

    /// Every category that an event has, sorted.
    pub fn categories(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.categories.keys().copied()
    }

    /// The description of a category, if one was declared with [`describe_category!`](crate::describe_category).
    #[must_use]
    pub fn category_description(&self, category: &str) -> Option<&'static str> {
        self.categories.get(category).copied().flatten()
    }

    /// The registry as JSON: one object for each event, sorted by its type.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let entries: Vec<_> = self.events().map(entry).collect();
        serde_json::json!(entries)
    }

    pub(crate) fn renderer(&self) -> &Renderer {
        &self.renderer
    }
}

fn entry(event: &'static EventDeclaration) -> impl Serialize {
    serde_json::json!({
        "eventType": event.event_type,
        "description": event.description,
        "category": event.category,
        "aliases": event.aliases,
        "channels": event.channels.iter().map(|used| used.channel.name()).collect::<Vec<_>>(),
        "criticalChannel": event.critical.map(ChannelDeclaration::name),
        "dedup": {
            "windowSeconds": event.dedup.window.as_secs_f64(),
            "by": event.dedup.by,
            "until": event.dedup.until,
        },
        "expiresAfterSeconds": event.expires_after.map(|after| after.as_secs_f64()),
        "fields": event.fields,
        "secrets": event.secrets,
        "declaredAt": event.location,
    })
}

fn index_channels(
    channels: impl IntoIterator<Item = RegisteredChannel>,
    problems: &mut Vec<String>,
) -> BTreeMap<&'static str, RegisteredChannel> {
    let mut index = BTreeMap::new();
    let mut channels: Vec<_> = channels.into_iter().collect();
    channels.sort_by_key(|channel| (channel.declaration.name(), channel.location));
    // A channel whose registration is linked twice counts once.
    channels.dedup_by_key(|channel| (channel.declaration.name(), channel.location));
    for channel in channels {
        let name = channel.declaration.name();
        if channel.declaration.shows_secrets() && matches!(channel.transport, Transport::Local(_)) {
            problems.push(format!(
                "the channel `{name}` ({}) writes rows with the dispatch, so it keeps what it shows: take `.showing_secrets()` \
                 from its declaration",
                channel.location
            ));
        }
        if let Some(first) = index.insert(name, channel) {
            problems.push(format!(
                "two channels are named `{name}`: {} and {}; rename one",
                first.location, channel.location
            ));
        }
    }
    index
}

type EventIndex = BTreeMap<&'static str, &'static EventDeclaration>;
type AliasIndex = HashMap<&'static str, &'static EventDeclaration>;

fn index_events(
    events: Vec<&'static EventDeclaration>,
    problems: &mut Vec<String>,
) -> (EventIndex, AliasIndex) {
    let (mut index, mut aliases) = (EventIndex::new(), AliasIndex::new());
    for event in &events {
        if let Some(first) = index.insert(event.event_type, event) {
            problems.push(format!(
                "two events have the type `{}`: {} and {}; give one of them another type",
                event.event_type, first.location, event.location
            ));
        }
    }
    for event in events {
        for alias in event.aliases {
            let taken = index.get(alias).copied().or(aliases.insert(alias, event));
            if let Some(other) = taken {
                problems.push(format!(
                    "the alias `{alias}` of {} is already taken by {}; remove one",
                    event.location, other.location
                ));
            }
        }
    }
    (index, aliases)
}

/// Repeats the checks that the attribute makes at compile time, because a test may have built the declaration by hand.
fn check_event(
    event: &'static EventDeclaration,
    channels: &BTreeMap<&'static str, RegisteredChannel>,
    problems: &mut Vec<String>,
) {
    let mut problem = |text: String| {
        problems.push(format!(
            "event `{}` ({}): {text}",
            event.event_type, event.location
        ));
    };
    check_identity(event, &mut problem);
    let mut seen = BTreeSet::new();
    if event.channels.len() > usize::from(u8::MAX) {
        problem("it has more than 255 channels".to_owned());
    }
    for used in event.channels {
        let name = used.channel.name();
        if !seen.insert(name) {
            problem(format!("it names the channel `{name}` twice"));
        }
        if !channels.contains_key(name) {
            problem(format!(
                "no crate that registers its channel `{name}` is linked; {}",
                how_to_link(used.channel)
            ));
        }
        check_parts(used, &mut problem);
    }
    if let Some(critical) = event.critical
        && event.channel(critical.name()).is_none()
    {
        let name = critical.name();
        problem(format!(
            "its critical channel `{name}` is not among its channels"
        ));
    }
}

/// The line to add to the source, and what it requires.
pub(crate) fn how_to_link(channel: &ChannelDeclaration) -> String {
    let krate = channel.krate();
    let package = krate.replace('_', "-");
    format!(
        "add to the source of your binary: `use {krate} as _;` (after `cargo add {package}`, if it is not a dependency yet)"
    )
}

fn check_identity(event: &EventDeclaration, problem: &mut impl FnMut(String)) {
    if event.event_type.split('.').count() != 3 || !event.event_type.split('.').all(is_word) {
        problem("its type is not of the form `domain.entity.action`".into());
    }
    if !is_word(event.category) {
        problem(format!(
            "its category `{}` is not a lower case word",
            event.category
        ));
    }
    if event.dedup.window > MAX_WINDOW {
        problem("its dedup window is longer than a year".into());
    }
    if event.expires_after.is_some_and(|after| after.is_zero()) {
        problem("it expires at once, so nothing would ever be sent; `None` means never".into());
    }
    if event.expires_after > Some(MAX_WINDOW) {
        problem("it expires after more than a year; `None` means never".into());
    }
    for name in event.dedup.by {
        if *name != "subject" && !event.fields.contains(name) {
            let advice = did_you_mean(name, event.fields.iter().copied());
            problem(format!(
                "its dedup key names `{name}`, which is not a field{advice}"
            ));
        }
    }
    for name in event.secrets {
        if !event.fields.contains(name) {
            let advice = did_you_mean(name, event.fields.iter().copied());
            problem(format!(
                "it has no field `{name}` that could be secret{advice}"
            ));
        }
        if event.dedup.by.contains(name) {
            problem(format!(
                "its dedup key names `{name}`, which is secret, and a key is stored"
            ));
        }
    }
    let is_subject = |name: &&str| *name == "subject";
    if event.dedup.until == Until::Changed && event.dedup.by.iter().all(is_subject) {
        problem("its windows end when a key changes, but its dedup key names no field".into());
    }
    if event.channels.is_empty() {
        problem("it has no channel".into());
    }
}

fn check_parts(used: &ChannelUse, problem: &mut impl FnMut(String)) {
    let name = used.channel.name();
    for part in used.channel.parts() {
        let filled = used
            .templates
            .iter()
            .any(|template| template.part == part.name());
        if part.need() == Need::Required && !filled {
            problem(format!(
                "its channel `{name}` needs a template for `{}`",
                part.name()
            ));
        }
    }
    for template in used.templates {
        if used.channel.part(template.part).is_none() {
            let known = used.channel.parts().iter().map(Part::name);
            let advice = did_you_mean(template.part, known);
            problem(format!(
                "its channel `{name}` has no part `{}`{advice}",
                template.part
            ));
        }
    }
}

fn index_categories(
    events: &[&'static EventDeclaration],
    descriptions: impl IntoIterator<Item = CategoryDeclaration>,
    problems: &mut Vec<String>,
) -> BTreeMap<&'static str, Option<&'static str>> {
    let mut index: BTreeMap<_, _> = events.iter().map(|event| (event.category, None)).collect();
    let mut descriptions: Vec<_> = descriptions.into_iter().collect();
    descriptions.sort_by_key(|category| (category.name, category.location));
    descriptions.dedup();
    for pair in descriptions.windows(2) {
        if pair[0].name == pair[1].name {
            problems.push(format!(
                "the category `{}` is described twice: {} and {}; remove one",
                pair[0].name, pair[0].location, pair[1].location
            ));
        }
    }
    for category in descriptions {
        let names: Vec<_> = index.keys().copied().collect();
        match index.get_mut(category.name) {
            Some(description) => *description = Some(category.description),
            None => problems.push(format!(
                "no event is of the category `{}` described at {}{}",
                category.name,
                category.location,
                did_you_mean(category.name, names)
            )),
        }
    }
    index
}

/// Panics with all problems of this binary's events and channels, if there are any: start-up validation as a one-line test.
///
/// Call it inside a function: `#[test] fn every_event_can_be_sent() { campanile::assert_registry!(); }`.
///
/// ```standalone_crate
/// campanile::assert_registry!();
/// ```
#[macro_export]
macro_rules! assert_registry {
    () => {
        if let ::core::result::Result::Err(problems) = $crate::Registry::collect() {
            ::core::panic!("{problems}");
        }
    };
}
