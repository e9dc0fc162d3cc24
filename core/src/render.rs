//! Content is **rendered** once per dispatch and frozen: every part of every planned channel.
//!
//! A template is the author's; the payload is only ever data for it. The renderer names the templates, and so decides about
//! escaping: a part of the form [`Form::Html`] escapes what the payload brings, the others are plain text.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use unicode_segmentation::UnicodeSegmentation as _;
use url::Url;

use crate::channel::Form;
use crate::delivery::Parts;
use crate::error::DispatchError;
use crate::event::EventDeclaration;
use crate::payload::Payload;

/// The most instructions one part may take to render.
const FUEL: u64 = 200_000;

/// The largest rendered part, in bytes.
const LARGEST_PART: usize = 1024 * 1024;

/// The longest link, in bytes.
const LONGEST_URL: usize = 2_048;

/// Whether `http` links may be stored; `https`, `mailto` and absolute paths always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HttpLinks {
    /// Only to this machine (`http://localhost`, `http://127.0.0.1`), as in development.
    #[default]
    LoopbackOnly,
    /// To any host.
    Allowed,
}

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
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        templates.set_formatter(|out, state, value| {
            // An absent `Option` is nothing to read, not the word "None".
            if value.kind() == ValueKind::None {
                return Ok(());
            }
            minijinja::escape_formatter(out, state, value)
        });
        for event in events {
            for used in event.channels {
                for template in used.templates {
                    let Some(part) = used.channel.part(template.part) else {
                        continue;
                    };
                    let name = template_name(event, used.channel.name(), part.name(), part.form());
                    if let Err(error) = templates.add_template_owned(name, template.source) {
                        problems.push(format!(
                            "event `{}` ({}): the template for `{}` on channel `{}` does not parse: {}",
                            event.event_type,
                            event.location,
                            part.name(),
                            used.channel.name(),
                            describe(&error),
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
                let text = self
                    .render_one(&name, payload.value())
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

    fn render_one(&self, name: &str, context: &Value) -> Result<String, String> {
        let mut out = Capped(Vec::new());
        let template = self
            .templates
            .get_template(name)
            .map_err(|error| describe(&error))?;
        match template.render_captured_to(context.clone(), &mut out) {
            Ok(_) => Ok(String::from_utf8(out.0).expect("a template writes UTF-8")),
            Err(error) if error.kind() == ErrorKind::WriteFailure => {
                Err(format!("it is larger than {LARGEST_PART} bytes"))
            }
            Err(error) if error.kind() == ErrorKind::OutOfFuel => {
                Err(format!("it takes more than {FUEL} steps"))
            }
            Err(error) => Err(describe(&error)),
        }
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

/// The error in one line: what, where, and the cause beneath it.
fn describe(error: &minijinja::Error) -> String {
    let detail = error.detail().map_or_else(
        || error.kind().to_string(),
        |detail| format!("{}: {detail}", error.kind()),
    );
    error
        .line()
        .map_or_else(|| detail.clone(), |line| format!("{detail} (line {line})"))
}

/// Brings a rendered text into the form its part asks for.
fn finish(text: String, form: Form, links: HttpLinks) -> Result<String, String> {
    match form {
        Form::Html => Ok(text),
        Form::Text { max } => Ok(cut(&text, max)),
        Form::Line { max } => Ok(cut(&one_line(&text), max)),
        Form::Url => link(text.trim(), links),
    }
}

/// Line breaks and other control characters become spaces (a subject is a header); bidi overrides, which could disguise
/// a name, go.
fn one_line(text: &str) -> String {
    text.chars()
        .filter(|character| !is_bidi_override(*character))
        .map(|character| {
            if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                character
            }
        })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The explicit directional formatting characters of Unicode's bidirectional algorithm (UAX #9).
const fn is_bidi_override(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// At most `max` graphemes, the last of them `…` if something was cut.
fn cut(text: &str, max: usize) -> String {
    // A grapheme is at least a byte.
    if text.len() <= max || text.graphemes(true).nth(max).is_none() {
        return text.to_owned();
    }
    let mut kept: String = text.graphemes(true).take(max - 1).collect();
    kept.push('…');
    kept
}

/// A link that a browser may follow from an inbox: parsed, of a known scheme, in its normal form (IDN as punycode).
fn link(text: &str, links: HttpLinks) -> Result<String, String> {
    const KNOWN: &str = "a link is `https://..`, `mailto:..` or an absolute path `/..`";
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.len() > LONGEST_URL {
        return Err(format!("the link is longer than {LONGEST_URL} bytes"));
    }
    if text.starts_with('/') {
        let odd = |character: char| character == '\\' || character.is_control();
        if text.starts_with("//") || text.contains(odd) {
            return Err(format!("the link could leave this site; {KNOWN}"));
        }
        return Ok(text.to_owned());
    }
    let url =
        Url::parse(text).map_err(|error| format!("the link is not valid ({error}); {KNOWN}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("the link holds a user name or password; {KNOWN}"));
    }
    match url.scheme() {
        "https" | "mailto" => Ok(url.into()),
        "http" if links == HttpLinks::Allowed || is_loopback(&url) => Ok(url.into()),
        "http" => Err(format!(
            "the link is `http` and not to this machine; {KNOWN}; `http` needs `HttpLinks::Allowed`"
        )),
        scheme => Err(format!("the link's scheme is `{scheme}:`; {KNOWN}")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A writer that refuses to grow beyond [`LARGEST_PART`]: fuel counts instructions, not bytes.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_PART {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_grapheme() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        // Four family emoji, each of several code points.
        let families = "👨‍👩‍👧".repeat(4);
        assert_eq!(cut(&families, 3), format!("{}…", "👨‍👩‍👧".repeat(2)));
    }

    #[test]
    fn a_line_has_no_breaks_and_no_bidi_overrides() {
        assert_eq!(one_line("a\r\nBcc: x\u{202E}evil\u{2066}"), "a  Bcc: xevil");
    }

    #[test]
    fn links_are_https_mailto_or_absolute_paths() {
        let check = |text| link(text, HttpLinks::LoopbackOnly);
        for good in [
            "https://example.com/a?b=c",
            "mailto:a@example.com",
            "/orgs/7?tab=members",
            "http://localhost:3000/x",
            "http://127.0.0.1/",
            "",
        ] {
            assert_eq!(check(good).as_deref(), Ok(good));
        }
        assert_eq!(
            check("https://bücher.example/").as_deref(),
            Ok("https://xn--bcher-kva.example/")
        );
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "/\\evil.example",
            "/a\nb",
            "http://example.com",
            "https://user:pw@example.com",
            "relative/path",
            "file:///etc/passwd",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(link("http://example.com", HttpLinks::Allowed).is_ok());
    }

    #[test]
    fn output_is_capped_in_bytes() {
        use std::io::Write as _;
        let mut out = Capped(Vec::new());
        assert!(out.write_all(&vec![b'x'; LARGEST_PART]).is_ok());
        assert!(out.write_all(b"x").is_err());
    }
}
