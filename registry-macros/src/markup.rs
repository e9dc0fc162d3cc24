//! Where **markup** may contain a variable: in text, and in a quoted attribute.
//!
//! Escaping a payload escapes quotes and brackets, but not spaces: in `<a href={{ url }}>` the payload could add its own
//! attributes, for example an `onclick`.

use html5gum::{State, Token, Tokenizer};

use crate::token::tags;

/// The byte positions of variables in a tag outside of quotes.
pub(crate) fn unquoted(source: &str) -> Vec<usize> {
    let (html, variables) = attacked(source);
    let mut found = Vec::new();
    let mut tokens = Tokenizer::new(&html);
    while let Some(Ok(token)) = tokens.next() {
        let Token::StartTag(tag) = token else {
            continue;
        };
        let added = tag.attributes.keys().filter_map(|name| {
            let number = str::from_utf8(name).ok()?.strip_prefix(ADDED)?;
            variables.get(number.parse::<usize>().ok()?).copied()
        });
        found.extend(added);
        // Text that looks like a tag inside these is not a tag.
        match tag.name.as_slice() {
            b"title" | b"textarea" => tokens.set_state(State::RcData),
            b"style" => tokens.set_state(State::RawText),
            b"script" => tokens.set_state(State::ScriptData),
            _ => {}
        }
    }
    found.sort_unstable();
    found
}

/// The attribute that a payload tries to add, before the number of its variable.
const ADDED: &str = "campanile-added-";

/// The template, rendered with a payload that tries to add an attribute with each variable, and the positions of the variables.
/// It contains both branches of an `if`.
fn attacked(source: &str) -> (String, Vec<usize>) {
    let mut html = String::with_capacity(source.len());
    let mut variables = Vec::new();
    let mut at = 0;
    for tag in tags(source) {
        html.push_str(&without_comments(
            source.get(at..tag.span.start).unwrap_or_default(),
        ));
        if tag.keyword.is_none() {
            html.push_str("x ");
            html.push_str(ADDED);
            html.push_str(&variables.len().to_string());
            html.push_str(" x");
            variables.push(tag.span.start);
        }
        at = tag.span.end;
    }
    html.push_str(&without_comments(source.get(at..).unwrap_or_default()));
    (html, variables)
}

fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, comment)) = rest.split_once("{#") {
        kept.push_str(before);
        rest = comment.split_once("#}").map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_in_a_tag_outside_of_quotes_is_found() {
        for (source, at) in [
            ("<a href={{ url }}>x</a>", vec![8]),
            ("<a href = {{ url }} class='x'>", vec![10]),
            ("<a href=/x/{{ id }}>", vec![11]),
            ("<p {{ attributes }}>", vec![3]),
            ("<{{ tag }}>", vec![1]),
            ("<p class=\"{{ a }}\" id={{ b }}>", vec![22]),
            ("<p class='{{ a }}'{{ b }}>", vec![18]),
            ("<p {% if x %}id={{ y }}{% endif %}>", vec![16]),
            ("{# <a title=' #}<img src={{ x }}>", vec![25]),
        ] {
            assert_eq!(unquoted(source), at, "{source}");
        }
    }

    #[test]
    fn a_variable_in_text_or_in_quotes_is_accepted() {
        for source in [
            "",
            "{{ a }} < {{ b }}",
            "<p>{{ a }}</p>",
            "<a href=\"{{ url }}\" title='{{ a }} {{ b }}'>{{ c }}</a>",
            "<a href=\"/x/{{ id }}?y={{ z | urlencode }}\">",
            "<p {% if x %}class=\"a\"{% else %}class='b'{% endif %}>{{ y }}</p>",
            "<!-- <a href={{ url }}> -->",
            "{# <a href={{ url }}> #}{% raw %}<a href={{ url }}>{% endraw %}",
            "<title><a href={{ url }}></title>",
            "{{ '<a href=' }}{{ \"}}\" }}",
        ] {
            assert_eq!(unquoted(source), [0; 0], "{source}");
        }
    }
}
