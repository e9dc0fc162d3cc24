//! **Events**: those that this binary can send. It does not use the database.

use campanile::channel::ChannelDeclaration;
use campanile::event::EventDeclaration;
use campanile::{Dispatcher, Registry, RegistryError};

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::{Table, or_dash};

/// Every event; this also works if the dispatcher cannot be built because a channel is not configured.
pub(crate) fn list(dispatcher: Result<Dispatcher, RegistryError>) -> Result<Answer, CommandError> {
    Ok(match dispatcher {
        Ok(dispatcher) => answer(dispatcher.registry()),
        Err(_) => answer(&Registry::collect()?),
    })
}

fn answer(registry: &Registry) -> Answer {
    let mut table = Table::new(["EVENT", "CATEGORY", "CHANNELS", "WINDOW", "KEY", "FIELDS"]);
    for event in registry.events() {
        table.row([
            event.event_type.to_owned(),
            event.category.to_owned(),
            channels(event),
            window(event),
            or_dash((!event.dedup.by.is_empty()).then(|| event.dedup.by.join(", "))),
            event.fields.join(", "),
        ]);
    }
    let text = if registry.events().next().is_none() {
        "this binary links no event".to_owned()
    } else {
        table.to_string()
    };
    Answer::new(text, &registry.to_json())
}

/// The channels, with an exclamation mark after the one that preferences cannot remove.
fn channels(event: &EventDeclaration) -> String {
    let critical = event.critical.map(ChannelDeclaration::name);
    let names = event.channels.iter().map(|used| {
        let name = used.channel.name();
        let mark = if critical == Some(name) { "!" } else { "" };
        format!("{name}{mark}")
    });
    names.collect::<Vec<_>>().join(", ")
}

fn window(event: &EventDeclaration) -> String {
    if event.dedup.window.is_zero() {
        return "none".into();
    }
    format!("{}s", event.dedup.window.as_secs_f64())
}
