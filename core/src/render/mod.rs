//! Content is **rendered** once per dispatch and frozen: every part of every planned channel.
//!
//! A template is the author's; the payload is only ever data for it. The renderer names the templates, and so decides about
//! escaping: a part of the form [`Form::Html`] escapes what the payload brings, the others are plain text.

mod template;
mod text;
mod link;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod promises;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;

use crate::channel::Form;
use crate::delivery::Parts;
use crate::error::DispatchError;
use crate::event::EventDeclaration;
use crate::payload::Payload;

pub use self::link::HttpLinks;
use self::link::{link, no_link_runs_code};
use self::text::{cut, one_line};

/// The rendered content of one dispatch: channel name to parts.
pub type Content = BTreeMap<&'static str, Parts>;

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

    /// Renders every part of these channels.
    pub(crate) fn render(
        &self,
        event: &'static EventDeclaration,
        channels: &BTreeSet<&'static str>,
        payload: &Payload,
        links: HttpLinks,
    ) -> Result<Content, DispatchError> {
        let mut content = Content::new();
        for used in event.channels {
            let channel = used.channel.name();
            if !channels.contains(channel) {
                continue;
            }
            let parts = content.entry(channel).or_default();
            for template in used.templates {
                let Some(part) = used.channel.part(template.part) else {
                    continue;
                };
                let name = template_name(event, channel, part.name(), part.form());
                let text = template::render(&self.templates, &name, payload.value())
                    .and_then(|text| finish(text, part.form(), links))
                    .map_err(|reason| DispatchError::Render {
                        event_type: event.event_type.to_owned(),
                        channel: channel.to_owned(),
                        part: part.name().to_owned(),
                        reason,
                    })?;
                if !(text.is_empty() && matches!(part.form(), Form::Url)) {
                    parts.insert(part.name().to_owned(), text);
                }
            }
        }
        Ok(content)
    }
}

/// The name decides about escaping: minijinja escapes in `.html` and not in `.txt`.
fn template_name(event: &EventDeclaration, channel: &str, part: &str, form: Form) -> String {
    let ending = match form {
        Form::Html => "html",
        Form::Line { .. } | Form::Text { .. } | Form::Url => "txt",
    };
    format!("{}/{channel}/{part}.{ending}", event.event_type)
}

/// Brings a rendered text into the form its part asks for, or refuses it.
pub(crate) fn finish(text: String, form: Form, links: HttpLinks) -> Result<String, String> {
    match form {
        Form::Html => no_link_runs_code(&text).map(|()| text),
        Form::Text { max } => Ok(cut(&text, max)),
        Form::Line { max } => Ok(cut(&one_line(&text), max)),
        Form::Url => link(text.trim(), links),
    }
}
