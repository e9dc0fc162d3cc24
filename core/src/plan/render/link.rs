//! A **link** that is stored is one that a browser may follow from an inbox or a mail; all others are refused.

use html5gum::{DefaultEmitter, StartTag, State, Token, Tokenizer};
use url::Url;

/// The maximum length of a link in bytes.
const MAX_URL: usize = 2_048;

/// The allowed forms of a link, for error messages.
const KNOWN: &str = "a link is `https://..`, `mailto:..` or an absolute path `/..`";

/// Whether `http` links may be stored; `https`, `mailto` and absolute paths always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HttpLinks {
    /// Only to this machine (`http://localhost`, `http://127.0.0.1`), for development.
    #[default]
    LoopbackOnly,
    /// To any host.
    Allowed,
}

/// A link that a browser may follow from an inbox: parsed, of a known scheme, in its normal form (IDN as punycode).
pub(super) fn link(text: &str, links: HttpLinks) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.len() > MAX_URL {
        return Err(format!("the link is longer than {MAX_URL} bytes"));
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
    // Text that is not ASCII is longer in its normal form.
    if url.as_str().len() > MAX_URL {
        return Err(format!("the link is longer than {MAX_URL} bytes"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "the link contains a user name or password; {KNOWN}"
        ));
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

/// The same HTML without the links that run code, read as a browser reads it: an author's `href="{{ url }}"` escapes the quotes
/// of a payload, but not its scheme. The text of such a link stays.
///
/// Other links are kept, including relative and `cid:` ones: the markup is the author's.
pub(super) fn without_links_that_run_code(html: String) -> Result<String, String> {
    let tags = cleaned_tags(&html);
    if tags.is_empty() {
        return Ok(html);
    }
    let mut clean = String::with_capacity(html.len());
    let mut at = 0;
    for tag in tags {
        clean.push_str(html.get(at..tag.span.start).ok_or(STAYS)?);
        write_tag(&mut clean, &tag);
        at = tag.span.end;
    }
    clean.push_str(html.get(at..).ok_or(STAYS)?);
    if cleaned_tags(&clean).is_empty() {
        Ok(clean)
    } else {
        Err(STAYS.to_owned())
    }
}

const STAYS: &str = "a link in it runs code, and cannot be removed";

/// The tags with a link that runs code, without that link.
fn cleaned_tags(html: &str) -> Vec<StartTag<usize>> {
    let mut tokens = Tokenizer::new_with_emitter(html, DefaultEmitter::<usize>::new_with_span());
    let mut tags = Vec::new();
    while let Some(Ok(token)) = tokens.next() {
        let Token::StartTag(mut tag) = token else {
            continue;
        };
        // Text that looks like a tag inside these is not a tag.
        match tag.name.as_slice() {
            b"title" | b"textarea" => tokens.set_state(State::RcData),
            b"style" => tokens.set_state(State::RawText),
            b"script" => tokens.set_state(State::ScriptData),
            _ => {}
        }
        let before = tag.attributes.len();
        tag.attributes
            .retain(|name, value| !runs_code(name, &value.value));
        if tag.attributes.len() < before {
            tags.push(tag);
        }
    }
    tags
}

fn runs_code(attribute: &[u8], value: &[u8]) -> bool {
    let is_link = matches!(
        attribute,
        b"href" | b"src" | b"action" | b"formaction" | b"xlink:href"
    );
    is_link && scheme_of_code(value).is_some_and(|scheme| (scheme, attribute) != ("data:", b"src"))
}

fn write_tag(html: &mut String, tag: &StartTag<usize>) {
    html.push('<');
    html.push_str(&String::from_utf8_lossy(&tag.name));
    for (name, value) in &tag.attributes {
        let value = String::from_utf8_lossy(value);
        let value = value.replace('&', "&amp;").replace('"', "&quot;");
        html.push(' ');
        html.push_str(&String::from_utf8_lossy(name));
        html.push_str("=\"");
        html.push_str(&value);
        html.push('"');
    }
    html.push_str(if tag.self_closing { " />" } else { ">" });
}

/// The scheme of a link, if it is one that runs code.
///
/// Browsers skip control characters and spaces before a link, and tabs and line breaks wherever they are
/// (<https://url.spec.whatwg.org/#url-parsing>).
fn scheme_of_code(link: &[u8]) -> Option<&'static str> {
    let read: Vec<u8> = link
        .iter()
        .filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r'))
        .skip_while(|byte| **byte <= b' ')
        .take("javascript:".len())
        .map(u8::to_ascii_lowercase)
        .collect();
    ["javascript:", "vbscript:", "data:"]
        .into_iter()
        .find(|scheme| read.starts_with(scheme.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Two thousand bytes, but six thousand in the form that would be stored.
        let long = format!("mailto:{}", "é".repeat(1_000));
        assert!(check(&long).unwrap_err().contains("longer than"));
    }

    fn cleaned(html: &str) -> String {
        without_links_that_run_code(html.to_owned()).unwrap()
    }

    #[test]
    fn a_link_in_html_that_runs_code_is_removed_however_it_is_written() {
        for bad in [
            r#"<a href="javascript:alert(1)">x</a>"#,
            "<a href='javascript:alert(1)'>x</a>",
            "<a href=javascript:alert(1)>x</a>",
            "<p>x</p><A CLASS=b\nHREF = 'JaVaScRiPt:alert(1)'>x</A>",
            "<a href=' \u{1}\n java\tscr\nipt\r:alert(1)'>x</a>",
            "<a href='java&#115;cript&colon;alert(1)'>x</a>",
            "<a href='&#x6A;avascript&#58alert(1)'>x</a>",
            "<a href='java&Tab;script:alert&NewLine;(1)'>x</a>",
            "<a/href='javascript:1'/>",
            "<a title='>' href='javascript:1'>x</a>",
            "<a title=\"it's > that\" href='javascript:1'>x</a>",
            "<title><a title='</title><a href='javascript:1'>x</a>",
            "<style>a::after { content: '<b c=\"' }</style><a href='javascript:1'>x</a>",
            "<!-- <a title=' --><a href='javascript:1'>x</a>",
            "<noscript><a href='javascript:1'>x</a></noscript>",
            "<img src='vbscript:x'>",
            "<form action='javascript:1'></form>",
            "<button formaction='javascript:1'>x</button>",
            "<svg><a xlink:href='javascript:1'>x</a></svg>",
            "<a href='data:text/html,x'>x</a>",
        ] {
            let clean = cleaned(bad);
            assert_ne!(clean, bad);
            // In a second pass, nothing is left to remove.
            assert_eq!(cleaned(&clean), clean, "{bad}");
        }
    }

    #[test]
    fn the_text_around_a_removed_link_stays() {
        for (html, clean) in [
            (
                "<p>é <a class='b' href=\"javascript:1\" title='say \"a & b\"'>Bob</a> ü</p>",
                "<p>é <a class=\"b\" title=\"say &quot;a &amp; b&quot;\">Bob</a> ü</p>",
            ),
            (
                "<a href='vbscript:x'>1</a><a href='/2'>2</a><img src=javascript:x />",
                "<a>1</a><a href='/2'>2</a><img />",
            ),
        ] {
            assert_eq!(cleaned(html), clean);
        }
    }

    #[test]
    fn html_that_only_mentions_code_is_unchanged() {
        for good in [
            "",
            "<p>javascript:alert(1) href='javascript:alert(1)'</p>",
            "&lt;a href='javascript:alert(1)'&gt;",
            "<p title='javascript:alert(1)' data-href='javascript:alert(1)'>x</p>",
            "<!-- <a href='javascript:alert(1)'> -->",
            "<title><a href='javascript:alert(1)'></title>",
            "<script>let a = \"<a href='javascript:1'>\";</script>",
            "<p title=\"<a href='javascript:alert(1)'>\">x</p>",
            // A payload with entities becomes text when it is escaped.
            "<a href='java&amp;#115;cript:alert(1)'>x</a>",
            "<a href='https://example.com/?q=javascript:alert(1)'>x</a>",
            "<a href='/javascript:'>x</a><a href='#x'>x</a><a href='javascripts:x'>x</a>",
            "<img src='data:image/png;base64,AA=='><img src='cid:logo'>",
            "1 < 2 <",
        ] {
            assert_eq!(cleaned(good), good);
        }
    }
}
