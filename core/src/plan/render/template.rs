//! A **template** is written by the author; values of the payload that it prints are text, and never markup or code.
//!
//! It knows nothing about events and channels.

use std::io;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, HtmlEscape, Output, State, UndefinedBehavior};

use super::text::is_bidi_override;

/// The maximum number of instructions to render one part.
const FUEL: u64 = 200_000;

/// The suffix of the name of an HTML template.
const HTML: &str = ".html";

/// The maximum size of a rendered part in bytes.
const MAX_PART: usize = 1024 * 1024;

/// minijinja without the filter `safe`, the same way that the attribute checks templates. Its `autoescape` has no effect: see
/// [`print`].
pub(super) fn environment() -> Environment<'static> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_fuel(Some(FUEL));
    templates.set_formatter(print);
    templates.remove_filter("safe");
    templates
}

/// Adds a template, or returns why it is rejected. It escapes printed values if its name ends in `.html`.
pub(super) fn add(
    templates: &mut Environment<'static>,
    name: String,
    source: &'static str,
) -> Result<(), String> {
    templates
        .add_template_owned(name, source)
        .map_err(|error| format!("does not parse: {}", describe(&error)))
}

/// Prints one value: an absent `Option` as the empty text, not the word "None"; text without the bidi overrides that could
/// disguise it. The template's own text is the author's, and does not pass through here.
///
/// Only the template's name determines whether text is escaped, and not an `autoescape` in it: the payload is data and shows as
/// text everywhere.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.kind() == ValueKind::None {
        return Ok(());
    }
    // A list or map prints its elements.
    let text = value.to_string().replace(is_bidi_override, "");
    // Text that a filter has escaped, or a block has printed, is not escaped again.
    if state.name().ends_with(HTML) && !value.is_safe() {
        return Ok(write!(out, "{}", HtmlEscape(&text))?);
    }
    Ok(out.write_str(&text)?)
}

/// What happens to a text that is larger than [`MAX_PART`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    Refuse,
    /// It is cut: the part is cut much shorter anyway.
    Cut,
}

/// Renders one template, within [`FUEL`] and [`MAX_PART`].
pub(super) fn render(
    templates: &Environment<'static>,
    name: &str,
    context: &Value,
    overflow: Overflow,
) -> Result<String, String> {
    let mut out = Capped(Vec::new());
    let template = templates
        .get_template(name)
        .map_err(|error| describe(&error))?;
    match template.render_captured_to(context.clone(), &mut out) {
        Ok(_) => Ok(out.into_text()),
        Err(error) if error.kind() == ErrorKind::WriteFailure && overflow == Overflow::Cut => {
            Ok(out.into_text())
        }
        Err(error) if error.kind() == ErrorKind::WriteFailure => {
            Err(format!("it is larger than {MAX_PART} bytes"))
        }
        Err(error) if error.kind() == ErrorKind::OutOfFuel => {
            Err(format!("it takes more than {FUEL} steps"))
        }
        Err(error) => Err(describe(&error)),
    }
}

/// The error in one line: what, where, and its cause.
fn describe(error: &Error) -> String {
    let detail = error.detail().map_or_else(
        || error.kind().to_string(),
        |detail| format!("{}: {detail}", error.kind()),
    );
    error
        .line()
        .map_or_else(|| detail.clone(), |line| format!("{detail} (line {line})"))
}

/// A writer that refuses to grow beyond [`MAX_PART`]: fuel counts instructions, not bytes.
struct Capped(Vec<u8>);

impl Capped {
    /// The written text, up to the last whole character.
    fn into_text(self) -> String {
        String::from_utf8(self.0).unwrap_or_else(|error| {
            let whole = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(whole);
            String::from_utf8(bytes).expect("the text is valid up to there")
        })
    }
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MAX_PART - self.0.len();
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.len().min(room);
        self.0.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;
    use serde_json::json;

    use super::*;

    fn rendered(name: &str, source: &'static str, payload: &serde_json::Value) -> String {
        let mut templates = environment();
        add(&mut templates, name.to_owned(), source).unwrap();
        render(
            &templates,
            name,
            &Value::from(Serde(payload)),
            Overflow::Refuse,
        )
        .unwrap()
    }

    #[test]
    fn no_template_prints_the_payload_as_markup() {
        let payload = json!({ "x": "<b>", "list": ["<b>"] });
        for source in [
            "{% autoescape false %}{{ x }}{% endautoescape %}",
            "{% autoescape 'none' %}{% set y %}{{ x }}{% endset %}{% endautoescape %}{{ y }}",
            "{% autoescape false %}{{ x | upper }}{{ list }}{% for y in list %}{{ y }}{% endfor %}{% endautoescape %}",
            "{% autoescape false %}{% filter upper %}{{ x }}{% endfilter %}{% endautoescape %}",
            "{{ x | escape }}{{ list | join }}{{ x ~ x }}",
        ] {
            let html = rendered("part.html", source, &payload);
            assert!(!html.to_lowercase().contains("<b>"), "{source}: {html}");
        }
        for source in [
            "{{ x | safe }}",
            "{% filter safe %}{{ x }}{% endfilter %}",
            "{% set y | safe %}{{ x }}{% endset %}",
            "{{ list | map('safe') | join }}",
        ] {
            let mut templates = environment();
            add(&mut templates, "part.html".into(), source).unwrap();
            let context = Value::from(Serde(&payload));
            let error = render(&templates, "part.html", &context, Overflow::Refuse).unwrap_err();
            // `map` does not name the filter that it lacks.
            let names = ["filter safe is unknown", "unknown filter"];
            assert!(names.iter().any(|name| error.contains(name)), "{error}");
        }
    }

    #[test]
    fn a_template_that_is_not_html_prints_text_unchanged() {
        let payload = json!({ "x": "<b>" });
        for source in ["{{ x }}", "{% autoescape true %}{{ x }}{% endautoescape %}"] {
            assert_eq!(rendered("part.txt", source, &payload), "<b>");
        }
    }

    /// B14
    #[test]
    fn a_template_with_too_many_steps_recursion_or_too_much_output_is_an_error() {
        for (source, error) in [
            (
                "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
                "it takes more than 200000 steps",
            ),
            (
                "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
                "recursion limit",
            ),
            (
                "{% for a in range(200) %}{{ x }}{% endfor %}",
                "it is larger than 1048576 bytes",
            ),
        ] {
            let mut templates = environment();
            add(&mut templates, "part.txt".into(), source).unwrap();
            let payload = json!({ "x": "x".repeat(10_000) });
            let context = Value::from(Serde(&payload));
            let found = render(&templates, "part.txt", &context, Overflow::Refuse).unwrap_err();
            assert!(found.contains(error), "{source}: {found}");
        }
    }

    #[test]
    fn a_filter_that_is_named_at_run_time_cannot_disable_escaping() {
        let mut templates = environment();
        let source = "{{ x | map(name) | join }}";
        add(&mut templates, "part.html".into(), source).unwrap();
        let payload = json!({ "x": ["<b>"], "name": "safe" });
        let context = Value::from(Serde(&payload));
        let error = render(&templates, "part.html", &context, Overflow::Refuse).unwrap_err();
        assert!(error.contains("unknown filter"), "{error}");
    }

    #[test]
    fn bidi_overrides_in_the_payload_are_removed_and_the_authors_own_stay() {
        let payload = json!({
            "name": "a\u{202E}b\u{2066}c<",
            "list": ["\u{202A}x", { "\u{2069}k": "\u{202D}v" }],
        });
        for (name, source, text) in [
            ("part.txt", "\u{202E}{{ name }}", "\u{202E}abc<"),
            ("part.html", "\u{2067}{{ name }}", "\u{2067}abc&lt;"),
            ("part.html", "{{ name | escape }}", "abc&lt;"),
            (
                "part.txt",
                "{{ name | upper }}{{ name ~ name }}",
                "ABC<abc<abc<",
            ),
            ("part.txt", "{{ list }}", "['x', {'k': 'v'}]"),
            (
                "part.html",
                "{% set both %}<b>{{ name }}</b>{% endset %}{{ both }}",
                "<b>abc&lt;</b>",
            ),
            ("part.txt", "{% for c in name %}{{ c }}{% endfor %}", "abc<"),
        ] {
            assert_eq!(rendered(name, source, &payload), text, "{source}");
        }
    }

    #[test]
    fn values_are_printed_like_minijinja_prints_them() {
        let payload = json!({ "none": null, "yes": true, "number": 1.5, "list": ["<"] });
        let source = "{{ none }}|{{ yes }}|{{ number }}|{{ list }}";
        assert_eq!(
            rendered("part.html", source, &payload),
            "|True|1.5|[&#x27;&lt;&#x27;]"
        );
    }

    #[test]
    fn a_text_that_is_too_large_is_cut_if_its_part_is_cut_anyway() {
        let mut templates = environment();
        add(&mut templates, "part.txt".into(), "{{ x }}{{ x }}").unwrap();
        let context = Value::from(Serde(&json!({ "x": "é".repeat(MAX_PART / 3) })));
        let text = render(&templates, "part.txt", &context, Overflow::Cut).unwrap();
        assert_eq!(text, "é".repeat(MAX_PART / 2));
        let refusal = render(&templates, "part.txt", &context, Overflow::Refuse).unwrap_err();
        assert!(refusal.contains("larger than 1048576 bytes"), "{refusal}");
    }

    #[test]
    fn output_is_capped_in_bytes() {
        use std::io::Write as _;
        let mut out = Capped(Vec::new());
        assert!(out.write_all(&vec![b'x'; MAX_PART]).is_ok());
        assert!(out.write_all(b"x").is_err());
    }
}
