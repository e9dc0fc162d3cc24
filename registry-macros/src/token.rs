//! The **tokens** of a template inside of `{{ }}` and `{% %}`.
//!
//! minijinja's own tokens are private. These are used to find names, so a template must already have been parsed by minijinja:
//! for a template that does not parse, the only guarantee is that nothing panics.

/// One `{{ .. }}` or `{% .. %}`.
#[derive(Debug)]
pub(crate) struct Tag<'t> {
    /// `for`, `if`, `set`; empty in `{{ }}`.
    pub(crate) keyword: Option<Keyword<'t>>,
    /// The other tokens.
    pub(crate) tokens: Vec<Token<'t>>,
    /// Its byte range in the template, including the brackets.
    pub(crate) span: std::ops::Range<usize>,
}

/// The keyword of a `{% .. %}`, and where it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyword<'t> {
    pub(crate) word: &'t str,
    pub(crate) at: usize,
}

/// A word, a string or a symbol, and where it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind<'t>,
    pub(crate) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'t> {
    Name(&'t str),
    /// A string without its quotes, with unprocessed escapes.
    Text(&'t str),
    Number,
    Symbol(&'t str),
}

/// The tags of a template, in order, without comments and raw blocks.
pub(crate) fn tags(source: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(found) = source[at..].find('{') {
        let open = at + found;
        let inside = open + 2;
        at = match source.as_bytes().get(open + 1) {
            Some(b'#') => after(source, inside, "#}"),
            Some(b'%') => match raw_block(source, inside) {
                Some(end) => end,
                None => tag(source, inside, "%}", &mut tags),
            },
            Some(b'{') => tag(source, inside, "}}", &mut tags),
            _ => open + 1,
        };
    }
    tags
}

fn after(source: &str, from: usize, end: &str) -> usize {
    source[from..]
        .find(end)
        .map_or(source.len(), |found| from + found + end.len())
}

/// The end of `{% raw %} .. {% endraw %}`, if one begins here.
fn raw_block(source: &str, inside: usize) -> Option<usize> {
    let mut at = inside + tag_of_one_word(&source[inside..], "raw")?;
    while let Some(found) = source[at..].find("{%") {
        at += found + 2;
        if let Some(length) = tag_of_one_word(&source[at..], "endraw") {
            return Some(at + length);
        }
    }
    Some(source.len())
}

/// The length of `raw %}` or `- raw -%}`.
fn tag_of_one_word(rest: &str, word: &str) -> Option<usize> {
    let after_word = without_sign(rest).trim_ascii_start().strip_prefix(word)?;
    let end = without_sign(after_word.trim_ascii_start()).strip_prefix("%}")?;
    Some(rest.len() - end.len())
}

fn without_sign(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// Reads one tag from after its opening to after its end.
fn tag<'t>(source: &'t str, inside: usize, end: &str, tags: &mut Vec<Tag<'t>>) -> usize {
    let mut tokens = Vec::new();
    let mut open_brackets = 0_usize;
    let mut at = source.len() - without_sign(&source[inside..]).len();
    while at < source.len() {
        let rest = &source[at..];
        if open_brackets == 0 && without_sign(rest).starts_with(end) {
            at = source.len() - without_sign(rest).len() + end.len();
            break;
        }
        let (length, kind) = token(rest);
        match kind {
            Some(Kind::Symbol("(" | "[" | "{")) => open_brackets += 1,
            Some(Kind::Symbol(")" | "]" | "}")) => open_brackets = open_brackets.saturating_sub(1),
            _ => {}
        }
        tokens.extend(kind.map(|kind| Token { kind, at }));
        at = (at + length).min(source.len());
    }
    let keyword = match tokens.first() {
        Some(&Token {
            kind: Kind::Name(word),
            at,
        }) if end == "%}" => {
            tokens.remove(0);
            Some(Keyword { word, at })
        }
        _ => None,
    };
    let span = inside - 2..at;
    tags.push(Tag {
        keyword,
        tokens,
        span,
    });
    at
}

/// The token at the start of the text, and its length in bytes. White space is not a token.
fn token(rest: &str) -> (usize, Option<Kind<'_>>) {
    let first = rest.chars().next().unwrap_or(' ');
    if first.is_ascii_alphabetic() || first == '_' {
        let word = word(rest);
        return (word.len(), Some(Kind::Name(word)));
    }
    if first.is_ascii_digit() {
        return (number(rest), Some(Kind::Number));
    }
    if first == '"' || first == '\'' {
        let text = text(rest, first);
        return (text.len() + 2, Some(Kind::Text(text)));
    }
    if first.is_whitespace() {
        return (first.len_utf8(), None);
    }
    let two = rest.get(..2).unwrap_or_default();
    let length = match two {
        "//" | "**" | "==" | "!=" | ">=" | "<=" => 2,
        _ => first.len_utf8(),
    };
    (length, Some(Kind::Symbol(&rest[..length])))
}

fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &rest[..end.unwrap_or(rest.len())]
}

/// `1`, `1_000`, `0xff`, `1.5`; a digit must follow the dot, otherwise the dot belongs to an attribute.
fn number(rest: &str) -> usize {
    let whole = word(rest).len();
    match rest[whole..].strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => {
            whole + 1 + word(fraction).len()
        }
        _ => whole,
    }
}

fn text(rest: &str, quote: char) -> &str {
    let mut escaped = false;
    let end = rest[1..].find(|c: char| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(&rest[1..], |end| &rest[1..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<Vec<String>> {
        tags(source)
            .into_iter()
            .map(|tag| {
                let tokens = tag.tokens.into_iter().map(|token| match token.kind {
                    Kind::Name(text) | Kind::Text(text) | Kind::Symbol(text) => text.to_owned(),
                    Kind::Number => "0".to_owned(),
                });
                tag.keyword
                    .map(|keyword| keyword.word.to_owned())
                    .into_iter()
                    .chain(tokens)
                    .collect()
            })
            .collect()
    }

    #[test]
    fn only_the_contents_of_tags_are_read() {
        assert_eq!(
            words("a {b} {{ c }} {# {{ d }} #} {%- if e -%} f {% endif %}"),
            [vec!["c"], vec!["if", "e"], vec!["endif"]]
        );
        assert_eq!(
            words("{% raw %}{{ a }}{% endraw %}{{ b }}{%- raw -%} {{ c }} {%- endraw -%}"),
            [["b"]]
        );
    }

    #[test]
    fn strings_and_maps_do_not_end_a_tag() {
        assert_eq!(
            words(r#"{{ "}}" ~ 'it\'s }}' }}{{ {"a": {"b": 1}} }}{{ c }}"#),
            [
                vec!["}}", "~", r"it\'s }}"],
                vec!["{", "a", ":", "{", "b", ":", "0", "}", "}"],
                vec!["c"],
            ]
        );
    }

    #[test]
    fn numbers_are_not_names() {
        assert_eq!(
            words("{{ 1e5 + 0xff + 1.5 + 1_000 ~ a1.b2 }}"),
            [["0", "+", "0", "+", "0", "+", "0", "~", "a1", ".", "b2"]]
        );
        assert_eq!(words("{{ a == 1 }}"), [["a", "==", "0"]]);
    }

    #[test]
    fn a_text_that_ends_too_early_does_not_panic() {
        for source in [
            "{",
            "{{",
            "{{ 'a",
            "{{ '",
            "{{ \"\\",
            "{% raw %}",
            "{#",
            "{% if",
            "{{ é",
            "{{ 'é",
        ] {
            tags(source);
        }
    }
}
