//! Limits a **text**: no line break where one line is required, no bidi overrides, no more than the maximum length.
//!
//! It knows nothing about templates and channels.

use unicode_segmentation::UnicodeSegmentation as _;

/// How many code points are allowed for each allowed grapheme. An emoji of a family of three has five, most text has one or two.
const CODE_POINTS_FOR_EACH: usize = 4;

/// Line breaks and other control characters become spaces (a subject is a header); bidi overrides, which could disguise a name,
/// are removed.
pub(super) fn one_line(text: &str) -> String {
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
pub(super) const fn is_bidi_override(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// At most `max` graphemes and four times as many code points, the last of them `…` if something was cut.
///
/// Nothing bounds the length of a single grapheme: a letter may carry any number of combining marks. One that does not fit
/// is cut as a whole.
pub(super) fn cut(text: &str, max: usize) -> String {
    // A grapheme is at least a byte.
    if text.len() <= max {
        return text.to_owned();
    }
    let most_code_points = max.saturating_mul(CODE_POINTS_FOR_EACH);
    let (mut graphemes, mut code_points) = (0, 0);
    // How many bytes fit before the `…`.
    let mut kept = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        graphemes += 1;
        code_points += grapheme.chars().count();
        if graphemes > max || code_points > most_code_points {
            return format!("{}…", &text[..kept]);
        }
        if graphemes < max && code_points < most_code_points {
            kept = at + grapheme.len();
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_grapheme() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("a", 0), "…");
        // Four family emoji, each of several code points.
        let families = "👨‍👩‍👧".repeat(4);
        assert_eq!(cut(&families, 3), format!("{}…", "👨‍👩‍👧".repeat(2)));
    }

    #[test]
    fn the_code_points_of_a_text_with_few_graphemes_are_limited_too() {
        let monster = format!("a{}", "\u{301}".repeat(30_000));
        assert_eq!(monster.graphemes(true).count(), 1);
        assert_eq!(cut(&monster, 200), "…");
        assert_eq!(cut(&format!("Hello {monster} world"), 200), "Hello …");
        // Seven marks on each letter: eight code points, of which 4 * 10 are allowed.
        let stacked = format!("a{}", "\u{301}".repeat(7));
        assert_eq!(
            cut(&stacked.repeat(10), 10),
            format!("{}…", stacked.repeat(4))
        );
    }

    #[test]
    fn a_text_that_fits_exactly_is_not_cut() {
        let three_marks = format!("a{}", "\u{301}".repeat(3));
        for text in ["é".repeat(10), three_marks.repeat(10)] {
            assert_eq!(cut(&text, 10), text);
        }
    }

    #[test]
    fn a_line_has_no_breaks_and_no_bidi_overrides() {
        assert_eq!(one_line("a\r\nBcc: x\u{202E}evil\u{2066}"), "a  Bcc: xevil");
    }
}
