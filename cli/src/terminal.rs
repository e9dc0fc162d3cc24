//! Escapes what a **terminal** would interpret: control sequences, and the bidi controls that display a line in another order.
//! They are escaped in everything that is printed, so that no text can hide, forge or run anything.

use std::fmt::Write as _;

/// A text of one or more lines; line breaks stay.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && is_obeyed(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// A JSON document, which stays the same document, because escapes occur only inside strings. `serde_json` escapes only what JSON
/// requires, which leaves DEL, the C1 controls and bidi.
pub(crate) fn escaped_json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for character in document.chars() {
        if character != '\n' && is_obeyed(character) {
            // Writing to a string never fails.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// Every control character (C0, DEL, C1), the line and paragraph separators, and the directional formatting characters of
/// Unicode's bidirectional algorithm (UAX #9). All are in the basic multilingual plane, so that one JSON escape is enough.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\u{1b}]0;title\u{7}\u{9b}2J\u{7f}\r\u{202E}fdp\u{2066}\u{2069}\u{200f}\u{2028}ä…";

    #[test]
    fn a_text_keeps_its_line_breaks_and_letters_but_no_control_sequences() {
        assert_eq!(
            escaped(&format!("{HOSTILE}\nb")),
            "a\\u{1b}]0;title\\u{7}\\u{9b}2J\\u{7f}\\u{d}\\u{202e}fdp\\u{2066}\\u{2069}\\u{200f}\\u{2028}ä…\nb"
        );
    }

    #[test]
    fn a_json_document_stays_the_same_document() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "\n\\u202e"] });
        for document in [value.to_string(), format!("{value:#}")] {
            let printed = escaped_json(&document);
            assert!(
                !printed
                    .chars()
                    .any(|character| character != '\n' && is_obeyed(character))
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&printed).unwrap(),
                value
            );
        }
    }
}
