//! The **body** of a mail: an HTML fragment becomes a complete document, and a document becomes text.
//!
//! It does not escape what the renderer has already escaped, and loads no resources.

use std::panic::{AssertUnwindSafe, catch_unwind};

use html5gum::{HtmlString, Token, Tokenizer};

/// The width of the text part, in columns (RFC 5322 recommends at most 78).
const WIDTH: usize = 78;

/// The maximum of size in bytes times the square of the nesting depth for which a text is derived: 70 levels in 100 kB, 22 in a
/// megabyte. That takes about a second.
const MAX_WORK: usize = 500_000_000;

/// The maximum number of attributes of one tag for which a text is derived.
const MAX_ATTRIBUTES: usize = 250;

/// Elements that have no content, or end where the next of their kind begins: none of them nests directly in its own kind.
const NOT_NESTING: &[&str] = &[
    "area", "base", "body", "br", "caption", "col", "colgroup", "dd", "dt", "embed", "head", "hr",
    "html", "img", "input", "li", "link", "meta", "optgroup", "option", "p", "param", "source",
    "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
];

/// The HTML as a complete document: unchanged if it is one, otherwise wrapped in the minimum that mail programs need.
pub(crate) fn document(title: &str, html: &str) -> String {
    if is_document(html) {
        return html.to_owned();
    }
    format!(
        "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n</head>\n<body>\n{html}\n</body>\n</html>\n",
        escape(title)
    )
}

fn is_document(html: &str) -> bool {
    let mut rest = html.trim_start_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']);
    while let Some(comment) = rest.strip_prefix("<!--") {
        let Some((_, after)) = comment.split_once("-->") else {
            return false;
        };
        rest = after.trim_start();
    }
    ["<!doctype", "<html"].iter().any(|opening| {
        rest.get(..opening.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(opening))
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The HTML as text, with links as footnotes. `None` if the text is empty or the HTML cannot be parsed.
///
/// Control characters other than line breaks and tabs are removed: HTML can contain them (`&#27;`), a browser does not show them,
/// and a terminal interprets them.
///
/// A panic of the parser is caught: it would repeat in every attempt, and fail the batch's other mails too. HTML that would take
/// minutes is not parsed.
pub(crate) fn text(html: &str) -> Option<String> {
    if takes_too_long(html) {
        return None;
    }
    let text = catch_unwind(AssertUnwindSafe(|| {
        // Tables are mostly for layout, and a link must stay in one piece to be usable.
        html2text::config::plain_no_decorate()
            .link_footnotes(true)
            .no_link_wrapping()
            .no_table_borders()
            .unicode_strikeout(false)
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), WIDTH)
    }));
    let Ok(Ok(mut text)) = text else {
        return None;
    };
    text.retain(|character| matches!(character, '\n' | '\t') || !character.is_control());
    (!text.trim().is_empty()).then_some(text)
}

/// Whether elements nest deeper than [`MAX_WORK`] allows, or a tag has more than [`MAX_ATTRIBUTES`].
///
/// The parser scans the open elements at each tag and the attributes at each attribute, and each element copies and indents the
/// lines of its children. A template's loop that opens a list without closing it nests as deep as the payload is long.
fn takes_too_long(html: &str) -> bool {
    let max_depth = (MAX_WORK / html.len().max(1)).isqrt();
    let mut open: Vec<HtmlString> = Vec::new();
    for token in Tokenizer::new(html).flatten() {
        match token {
            Token::StartTag(tag) if tag.attributes.len() > MAX_ATTRIBUTES => return true,
            Token::StartTag(tag) => {
                let is_drawing = || {
                    open.iter()
                        .any(|name| matches!(name.as_slice(), b"svg" | b"math"))
                };
                let nests = NOT_NESTING.iter().all(|name| *tag.name != *name.as_bytes());
                if nests && !(tag.self_closing && is_drawing()) {
                    open.push(tag.name);
                }
            }
            Token::EndTag(tag) => {
                if let Some(at) = open.iter().rposition(|name| *name == tag.name) {
                    open.truncate(at);
                }
            }
            _ => {}
        }
        if open.len() > max_depth {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_becomes_a_document_and_a_document_stays() {
        let wrapped = document("A < B & C", "<p>Hi</p>");
        assert!(wrapped.starts_with("<!doctype html>\n<html>"));
        assert!(wrapped.contains("<title>A &lt; B &amp; C</title>"));
        assert!(wrapped.contains("<body>\n<p>Hi</p>\n</body>"));
        for whole in [
            "<!DOCTYPE html><html><body>x</body></html>",
            "\u{FEFF}\n<!-- made by hand --> <HTML lang=\"en\"><body>x</body></HTML>",
        ] {
            assert_eq!(document("t", whole), whole);
        }
        for fragment in ["", "<!-- open", "<p>é</p>", "é<html>", "<!doct"] {
            assert!(
                document("t", fragment).starts_with("<!doctype html>\n"),
                "{fragment}"
            );
        }
    }

    #[test]
    fn the_derived_text_contains_the_links() {
        let text = text(
            "<style>p{}</style><h1>Role</h1><p>You are now <b>admin</b> of &lt;Acme&gt;. \
             <a href=\"https://acme.example/orgs/7\">Open</a></p><script>x()</script>\
             <table><tr><td>a</td><td>b</td></tr></table>",
        );
        assert_eq!(
            text.as_deref(),
            Some(
                "# Role\n\nYou are now admin of <Acme>. [Open][1]\n\na b\n\n[1]: https://acme.example/orgs/7\n"
            )
        );
    }

    #[test]
    fn html_that_is_long_but_not_deep_has_text() {
        let nested = |depth| format!("{}x", "<div>".repeat(depth));
        assert!(text(&nested(100)).is_some() && text(&nested(1_000)).is_none());
        for flat in [
            "<p>x<br><img src=x>",
            "<ul><li>x<li>y</ul>",
            "<table><tr><td>x<td>y</table>",
            "<div>x</div>",
            "<svg><path /><path /></svg>x",
        ] {
            assert!(text(&flat.repeat(300)).is_some(), "{flat}");
        }
        let drawing = format!("<svg>{}</svg>x", "<path />".repeat(300));
        assert!(text(&drawing).is_some());
    }

    #[test]
    fn text_contains_no_control_characters_that_a_terminal_interprets() {
        let html = "<p title='\u{1b}'>a\u{1b}[31mb&#27;]0;c&#7;d&#13;e\u{85}f</p><pre>g\th</pre>";
        let text = text(html).unwrap();
        assert!(text.starts_with("a[31mb]0;cd"), "{text:?}");
        let is_followed = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        assert!(!text.contains(is_followed), "{text:?}");
        assert_eq!(super::text("<p>&#27;</p>"), None);
    }

    #[test]
    fn odd_html_yields_text_or_nothing_and_never_a_panic() {
        for html in [
            String::new(),
            "<img src=x>".to_owned(),
            "<table><tr><td>".repeat(200),
            "<div>".repeat(1_000),
            "<div>".repeat(200_000),
            "<ul><li>".repeat(500),
            "<ul><li>".repeat(100_000),
            "<blockquote>x".repeat(70_000),
            format!("{}{}", "<ul><li>".repeat(250), "<p>x</p>".repeat(120_000)),
            format!("{}{}", "<blockquote>".repeat(50), "x<br>".repeat(190_000)),
            format!(
                "<a {}>x</a>",
                (0..100_000)
                    .map(|n| n.to_string())
                    .collect::<Vec<_>>()
                    .join(" a")
            ),
            "<table><tr><td colspan=18446744073709551615>x<td>y</table>".to_owned(),
            "<pre>\u{0}\u{fffd}</pre>".to_owned(),
            format!("<p>{}</p>", "w".repeat(5_000)),
        ] {
            let _ = text(&html);
        }
    }
}
