//! Content is **rendered** once per dispatch and frozen: every part of every planned channel.
//!
//! A part that cannot be rendered fails only its own channel. A link that cannot be used is left out, and the rest is sent.
//!
//! A template is written by the author; the payload is only data for it. The renderer names the templates, and so decides about
//! escaping: a part of the form [`Form::Html`] escapes values of the payload, the others are plain text.

mod template;
mod text;
mod link;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod promises;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;

use crate::channel::delivery::Parts;
use crate::channel::scrub::scrub;
use crate::channel::{Form, Need, Part};
use crate::event::payload::Payload;
use crate::event::{ChannelUse, EventDeclaration};

pub use self::link::HttpLinks;
use self::link::{link, without_links_that_run_code};
use self::template::Overflow;
use self::text::{cut, one_line};

/// The rendered content of one dispatch: channel name to parts.
pub type Content = BTreeMap<&'static str, Parts>;

/// The channels that cannot be rendered, each with the reason.
pub type Failures = BTreeMap<&'static str, String>;

/// Every template of every event, compiled once.
pub(crate) struct Renderer {
    templates: Environment<'static>,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renderer(..)")
    }
}

impl Renderer {
    pub(crate) fn new(events: &[&'static EventDeclaration], problems: &mut Vec<String>) -> Self {
        let mut templates = template::environment();
        for event in events {
            for used in event.channels {
                for template in used.templates {
                    let Some(part) = used.channel.part(template.part) else {
                        continue;
                    };
                    let name = template_name(event, used.channel.name(), part.name(), part.form());
                    if let Err(reason) = template::add(&mut templates, name, template.source) {
                        problems.push(format!(
                            "event `{}` ({}): the template for `{}` on channel `{}` {reason}",
                            event.event_type,
                            event.location,
                            part.name(),
                            used.channel.name(),
                        ));
                    }
                }
            }
        }
        Self { templates }
    }

    /// Renders every part of these channels. A channel has content, or a reason why not.
    pub(crate) fn render(
        &self,
        event: &'static EventDeclaration,
        channels: &BTreeSet<&'static str>,
        payload: &Payload,
        links: HttpLinks,
    ) -> (Content, Failures) {
        let (mut content, mut failures) = (Content::new(), Failures::new());
        for used in event.channels {
            let channel = used.channel.name();
            if !channels.contains(channel) {
                continue;
            }
            match self.render_channel(event, used, payload, links) {
                Ok(parts) => {
                    content.insert(channel, parts);
                }
                Err(reason) => {
                    let reason = without_secrets(reason, payload);
                    tracing::warn!(
                        target: "campanile",
                        event_type = event.event_type,
                        channel,
                        reason,
                        "a channel is left out of a dispatch: a part of it cannot be rendered"
                    );
                    failures.insert(channel, reason);
                }
            }
        }
        (content, failures)
    }

    /// The problems with the templates of this event that its example reveals.
    pub(crate) fn try_example(&self, event: &'static EventDeclaration) -> Vec<String> {
        let Some(example) = event.example else {
            return Vec::new();
        };
        let payload = match example() {
            Ok(payload) => payload,
            Err(reason) => return vec![format!("its example is rejected: {reason}")],
        };
        let failures = event.channels.iter().filter_map(|used| {
            let tried = self.render_channel(event, used, &payload, HttpLinks::Allowed);
            let channel = used.channel.name();
            Some(format!(
                "with its example, on channel `{channel}`, {}",
                tried.err()?
            ))
        });
        failures.collect()
    }

    fn render_channel(
        &self,
        event: &'static EventDeclaration,
        used: &'static ChannelUse,
        payload: &Payload,
        links: HttpLinks,
    ) -> Result<Parts, String> {
        let channel = used.channel.name();
        let mut parts = Parts::new();
        for template in used.templates {
            let Some(part) = used.channel.part(template.part) else {
                continue;
            };
            let name = template_name(event, channel, part.name(), part.form());
            let overflow = match part.form() {
                Form::Line { .. } | Form::Text { .. } => Overflow::Cut,
                Form::Html | Form::Url => Overflow::Refuse,
            };
            let finished = template::render(
                &self.templates,
                &name,
                payload.value(used.channel),
                overflow,
            )
            .and_then(|text| finish(text, part.form(), links));
            match finished {
                Ok(text) if text.is_empty() && part.form() == Form::Url => {}
                Ok(text) => {
                    parts.insert(part.name().to_owned(), text);
                }
                Err(reason) if is_link_to_leave_out(part) => tracing::debug!(
                    target: "campanile",
                    event_type = event.event_type,
                    channel,
                    part = part.name(),
                    reason = without_secrets(reason, payload),
                    "a link that cannot be used is left out"
                ),
                Err(reason) => {
                    return Err(format!(
                        "the part `{}` cannot be rendered: {reason}",
                        part.name()
                    ));
                }
            }
        }
        Ok(parts)
    }
}

/// A reason may quote the text that was rendered.
fn without_secrets(reason: String, payload: &Payload) -> String {
    match payload.hidden() {
        Some(hidden) => scrub(&reason, hidden),
        None => reason,
    }
}

/// Whether the channel sends without this part if its link cannot be used.
fn is_link_to_leave_out(part: &Part) -> bool {
    part.form() == Form::Url && part.need() == Need::Optional
}

/// The name determines escaping: minijinja escapes in `.html` and not in `.txt`.
fn template_name(event: &EventDeclaration, channel: &str, part: &str, form: Form) -> String {
    let ending = match form {
        Form::Html => "html",
        Form::Line { .. } | Form::Text { .. } | Form::Url => "txt",
    };
    format!("{}/{channel}/{part}.{ending}", event.event_type)
}

/// Converts a rendered text to the form that its part requires, or returns why it cannot.
pub(crate) fn finish(text: String, form: Form, links: HttpLinks) -> Result<String, String> {
    match form {
        Form::Html => without_links_that_run_code(text),
        Form::Text { max } => Ok(cut(&text, max)),
        Form::Line { max } => Ok(cut(&one_line(&text), max)),
        Form::Url => link(text.trim(), links),
    }
}
