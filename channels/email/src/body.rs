//! The **body** of a mail: an HTML fragment becomes a complete document, and a document becomes text.
//!
//! It escapes nothing that the renderer escaped already, and loads nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The width of the text part, in columns (RFC 5322 recommends at most 78).
const WIDTH: usize = 78;

/// The HTML as a complete document: unchanged if it is one, else wrapped into the least that mail programs need.
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

/// The HTML as text, links as footnotes. `None` if nothing is left of it or it cannot be read.
///
/// A panic of the parser is caught: it would come again with every attempt, and take the batch's other mails along.
pub(crate) fn text(html: &str) -> Option<String> {
    let text = catch_unwind(AssertUnwindSafe(|| {
        // Tables are there for the layout, mostly, and a link must stay in one piece to be followed.
        html2text::config::plain_no_decorate()
            .link_footnotes(true)
            .no_link_wrapping()
            .no_table_borders()
            .unicode_strikeout(false)
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), WIDTH)
    }));
    match text {
        Ok(Ok(text)) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
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
    fn text_is_derived_with_its_links() {
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
    fn odd_html_yields_text_or_nothing_and_never_a_panic() {
        for html in [
            String::new(),
            "<img src=x>".to_owned(),
            "<table><tr><td>".repeat(200),
            "<div>".repeat(1_000),
            "<ul><li>".repeat(500),
            "<pre>\u{0}\u{fffd}</pre>".to_owned(),
            format!("<p>{}</p>", "w".repeat(5_000)),
        ] {
            let _ = text(&html);
        }
    }
}
