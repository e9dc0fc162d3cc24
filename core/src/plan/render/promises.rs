//! The guarantees of **rendering** for any input: property tests check them with generated input, the fuzzer with input that it
//! finds. Each function panics if a guarantee is broken.

#![allow(
    unreachable_pub,
    clippy::missing_panics_doc,
    reason = "not public API: the fuzzer is another crate, and it searches for panics"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use html5gum::{Token, Tokenizer};
use minijinja::Environment;
use minijinja::value::{Serde, Value};
use unicode_segmentation::UnicodeSegmentation as _;
use url::Url;

use super::template::Overflow;
use super::text::is_bidi_override;
use super::{Form, HttpLinks, finish, template};
use crate::event::payload::{MAX_PAYLOAD, MAX_STORED_PAYLOAD, Payload};

/// A page that contains a link.
fn page() -> Url {
    Url::parse("https://app.example/items/1").expect("it is a URL")
}

/// A link that is stored has an allowed scheme or stays on its site, contains no credentials, and is unchanged when it is stored
/// again.
pub fn link(text: &str) {
    for links in [HttpLinks::LoopbackOnly, HttpLinks::Allowed] {
        let Ok(link) = finish(text.to_owned(), Form::Url, links) else {
            continue;
        };
        let again = finish(link.clone(), Form::Url, links);
        assert_eq!(again.as_ref(), Ok(&link));
        assert!(!link.contains(char::is_control), "{link:?}");
        if link.is_empty() {
            continue;
        }
        let target = page().join(&link).expect("a browser can follow it");
        assert!(target.username().is_empty() && target.password().is_none());
        if link.starts_with('/') {
            assert_eq!(target.origin(), page().origin(), "{link:?}");
            continue;
        }
        let is_loopback = || {
            let host = target.host_str().unwrap_or_default();
            host == "localhost" || host == "[::1]" || host.starts_with("127.")
        };
        match target.scheme() {
            "https" | "mailto" => {}
            "http" => assert!(links == HttpLinks::Allowed || is_loopback(), "{link:?}"),
            _ => panic!("{link:?}"),
        }
    }
}

/// A link in HTML is removed exactly if a browser would run it, and the rest stays.
pub fn link_in_html(value: &str) {
    let quoted = value.replace('&', "&amp;").replace('"', "&quot;");
    let html = format!("<p title='>'>x</p><a title=\"'>\" href=\"{quoted}\">x</a>");
    // A browser reads NUL as a character that cannot start a scheme.
    let target = page().join(&value.replace('\0', "\u{fffd}"));
    let scheme = target.as_ref().map(Url::scheme);
    let runs = matches!(scheme, Ok("javascript" | "vbscript" | "data"));
    let clean =
        finish(html, Form::Html, HttpLinks::default()).expect("links that run code are removed");
    let is_left_out = !tags(&clean).iter().any(|tag| tag.contains("href"));
    // Text that is not a URL at all may be removed too.
    assert!(is_left_out == runs || target.is_err(), "{value:?}");
    assert!(clean.starts_with("<p title='>'>x</p><a ") && clean.ends_with(">x</a>"));
}

/// Any HTML is processed to its end, and a second pass has nothing to remove.
pub fn html(html: &str) {
    if let Ok(clean) = finish(html.to_owned(), Form::Html, HttpLinks::default()) {
        let again = finish(clean.clone(), Form::Html, HttpLinks::default());
        assert_eq!(again, Ok(clean));
    }
}

/// A line has no line break and no bidi override, and neither a line nor a text is longer than its part allows.
pub fn text(text: &str, max: u16) {
    let max = usize::from(max) + 1;
    let line = finish(text.to_owned(), Form::Line { max }, HttpLinks::default());
    let line = line.expect("a line is never rejected");
    let is_odd = |character: char| {
        character.is_control()
            || is_bidi_override(character)
            || matches!(character, '\u{2028}' | '\u{2029}')
    };
    assert!(!line.contains(is_odd), "{line:?}");
    let cut = finish(text.to_owned(), Form::Text { max }, HttpLinks::default());
    let cut = cut.expect("a text is never rejected");
    for short in [&line, &cut] {
        assert!(short.graphemes(true).count() <= max, "{short:?}");
        assert!(short.chars().count() <= 4 * max, "{short:?}");
    }
    let kept = cut.strip_suffix('…').unwrap_or(&cut);
    assert!(cut == text || text.starts_with(kept), "{cut:?}");
}

const HTML: &str = "<h1 title=\"{{ value }}\" class='{{ value }}'>{{ value }}</h1>\
    <ul>{% for part in parts %}<li>{{ part }}</li>{% endfor %}</ul><p>{{ map }} {{ value | upper }}</p>";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = template::environment();
    for (name, source) in [("part.html", HTML), ("part.txt", "{{ value }}")] {
        template::add(&mut templates, name.into(), source).expect("the template parses");
    }
    templates
});

fn render(name: &str, value: &str) -> String {
    let context = Value::from(Serde(serde_json::json!({
        "value": value,
        "parts": [value, "x"],
        "map": BTreeMap::from([(value, value)]),
    })));
    template::render(&TEMPLATES, name, &context, Overflow::Refuse).expect("the template renders")
}

/// The tags of a document, with the names of their attributes.
fn tags(html: &str) -> Vec<String> {
    let tokens = Tokenizer::new(html).flatten();
    let tags = tokens.filter_map(|token| match token {
        Token::StartTag(tag) => {
            let names: Vec<_> = tag.attributes.keys().collect();
            Some(format!("{:?} {names:?}", tag.name))
        }
        Token::EndTag(tag) => Some(format!("/{:?}", tag.name)),
        Token::Comment(_) | Token::Doctype(_) => Some("!".to_owned()),
        _ => None,
    });
    tags.collect()
}

/// A payload's value is text everywhere: it adds no tag and no attribute, and a plain part shows it unchanged.
pub fn value(value: &str) {
    assert_eq!(
        tags(&render("part.html", value)),
        tags(&render("part.html", "x"))
    );
    assert_eq!(
        render("part.txt", value),
        value.replace(is_bidi_override, "")
    );
}

/// A payload that is accepted can be stored by either database, and is not too large.
pub fn payload(json: &str) {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(json) else {
        return;
    };
    if let Ok(payload) = Payload::of(&json, &[]) {
        assert!(payload.json().to_string().len() <= MAX_PAYLOAD);
        let stored = payload.stored();
        assert!(stored.to_string().len() <= MAX_STORED_PAYLOAD);
        assert!(!holds_nul(payload.json()) && !holds_nul(stored), "{stored}");
    }
}

/// Whether a text in it contains NUL; a text that merely spells its escape does not.
fn holds_nul(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(holds_nul),
        serde_json::Value::Object(entries) => entries
            .iter()
            .any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// The pieces of generated links, including odd ones.
    fn links() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "javascript:",
            "JavaScript",
            "data:",
            "vbscript:",
            "http:",
            "https:",
            "mailto:",
            ":",
            "/",
            "//",
            "\\",
            "\t",
            "\n",
            "\r",
            "\0",
            " ",
            "\u{1}",
            "@",
            "user:pw@",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "bücher.example",
            "example.com",
            "%00",
            "&#106;",
            "&colon;",
            "..",
            "?",
            "#",
            "\u{85}",
            "\u{202e}",
            "é",
        ];
        let pieces = proptest::sample::select(PIECES);
        let made = proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat());
        prop_oneof![made, any::<String>()]
    }

    /// The pieces of generated markup.
    fn markup() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "<",
            ">",
            "</",
            "/>",
            "\"",
            "'",
            "=",
            "&",
            "&lt;",
            "&#60",
            "a",
            "href",
            "<a href=",
            "javascript:",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<style>",
            "<title>",
            "</title>",
            "{{ value }}",
            "{% raw %}",
            "\0",
            "\u{202e}",
            " ",
        ];
        let pieces = proptest::sample::select(PIECES);
        let made = proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat());
        prop_oneof![made, any::<String>()]
    }

    /// Generated JSON, including JSON that is deeper and larger than accepted.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<f64>().prop_map(|it| it.to_string()),
            Just(r#""\\u0000\u0000""#.to_owned()),
            any::<String>().prop_map(|it| serde_json::json!(it).to_string())
        ];
        let nested = leaf.prop_recursive(6, 64, 8, |inner| {
            let key = any::<String>().prop_map(|it| serde_json::json!(it).to_string());
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8)
                    .prop_map(|parts| format!("[{}]", parts.join(","))),
                proptest::collection::vec((key, inner), 0..8).prop_map(|parts| {
                    let members: Vec<_> = parts
                        .into_iter()
                        .map(|(key, value)| format!("{key}:{value}"))
                        .collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        });
        (nested, 0..40usize)
            .prop_map(|(json, depth)| format!("{}{json}{}", "[".repeat(depth), "]".repeat(depth)))
    }

    proptest! {
        #[test]
        fn a_stored_link_leads_nowhere_else(text in links()) {
            super::link(&text);
        }

        #[test]
        fn a_long_link_stays_within_the_maximum_length(text in "(mailto:|https://a/|/)[aé\u{202e} ]{500,2100}") {
            super::link(&text);
        }

        #[test]
        fn a_link_in_html_is_removed_exactly_if_it_runs_code(value in links()) {
            super::link_in_html(&value);
        }

        #[test]
        fn any_html_is_processed_to_its_end(html in markup()) {
            super::html(&html);
        }

        #[test]
        fn a_text_stays_within_its_limits(text in any::<String>(), marks in 0..50usize, max in 0..300u16) {
            super::text(&text, max);
            super::text(&format!("{text}{}\r\n{text}", "\u{301}\u{202e}".repeat(marks)), max);
        }

        #[test]
        fn a_value_is_shown_as_text(value in markup()) {
            super::value(&value);
        }

        #[test]
        fn an_accepted_payload_can_be_stored(json in json()) {
            super::payload(&json);
        }
    }
}
