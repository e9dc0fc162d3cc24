//! What is **stored** of a payload: the same JSON, cut where it is too long for a row.
//!
//! It keeps its shape: a text stays a text and ends in `…`, a list loses its last items, a map its last entries, and the event
//! keeps all of its fields.

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation as _;

/// However much there is to cut, a text keeps this many bytes: ids, times and names of variants stay whole.
const MIN_TEXT: usize = 64;

/// The maximum that is kept: of one text in bytes, of one list or map in items.
#[derive(Clone, Copy)]
struct Room {
    text: usize,
    items: usize,
}

/// The same payload in at most `max` bytes of JSON. Texts are cut first, and lists and maps only if that is not enough.
pub(crate) fn cut(payload: &Value, max: usize) -> Value {
    let all = payload.to_string().len();
    let within = |room: Room| {
        let cut = cut_fields(payload, room);
        (cut.to_string().len() <= max).then_some(cut)
    };
    let texts = |text| within(Room { text, items: all });
    let items = |items| {
        within(Room {
            text: MIN_TEXT,
            items,
        })
    };
    largest(MIN_TEXT, max, texts)
        .or_else(|| largest(0, max, items))
        .unwrap_or_else(|| Value::Object(Map::new()))
}

/// A binary search: `made(n)` for the largest `n` of `min..=max` for which it is `Some`. If it is for one, it is for every smaller
/// one.
fn largest(min: usize, max: usize, made: impl Fn(usize) -> Option<Value>) -> Option<Value> {
    let mut best = made(min)?;
    let (mut low, mut high) = (min, max);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if let Some(better) = made(middle) {
            (best, low) = (better, middle);
        } else {
            high = middle - 1;
        }
    }
    Some(best)
}

fn cut_fields(payload: &Value, room: Room) -> Value {
    match payload {
        Value::Object(fields) => fields
            .iter()
            .map(|(field, value)| (field.clone(), cut_value(value, room)))
            .collect(),
        other => cut_value(other, room),
    }
}

fn cut_value(value: &Value, room: Room) -> Value {
    match value {
        Value::String(text) => Value::String(cut_text(text, room.text)),
        Value::Array(items) => items
            .iter()
            .take(room.items)
            .map(|item| cut_value(item, room))
            .collect(),
        Value::Object(entries) => entries
            .iter()
            // A cut key could be equal to another key.
            .filter(|(key, _)| key.len() <= room.text)
            .take(room.items)
            .map(|(key, value)| (key.clone(), cut_value(value, room)))
            .collect(),
        other => other.clone(),
    }
}

/// At most `max` bytes and a `…`, cut between two graphemes.
fn cut_text(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let within = &text[..text.floor_char_boundary(max)];
    // The last grapheme may continue beyond this.
    let last = within.grapheme_indices(true).next_back();
    format!("{}…", &within[..last.map_or(0, |(at, _)| at)])
}

/// The same without NUL, which becomes the replacement character.
pub(crate) fn without_nul(value: Value) -> Value {
    let clean = |text: String| text.replace('\0', "\u{FFFD}");
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (clean(key), without_nul(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_graphemes_and_the_rest_stays() {
        let family = "👨‍👩‍👧";
        let payload =
            json!({ "by": "Bob", "text": family.repeat(100), "at": 7, "unit": { "Other": "ell" } });
        let cut = cut(&payload, 1_000);
        assert!(cut.to_string().len() <= 1_000 && cut.to_string().len() > 900);
        assert_eq!(
            (&cut["by"], &cut["at"], &cut["unit"]),
            (&payload["by"], &payload["at"], &payload["unit"])
        );
        let text = cut["text"].as_str().unwrap();
        let whole = text.strip_suffix('…').unwrap();
        assert_eq!(whole.replace(family, ""), "");
    }

    #[test]
    fn what_has_no_long_text_loses_items() {
        let payload = json!({ "list": (0..1_000).collect::<Vec<_>>(), "id": "0193e1f0-7b1c-7000-8000-000000000000" });
        let cut = cut(&payload, 500);
        assert!(cut.to_string().len() <= 500);
        assert_eq!(cut["id"], payload["id"]);
        assert_eq!(cut["list"][0], 0);
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_fits_and_keeps_its_fields(
            texts in prop::collection::vec("\\PC{0,80}", 0..12),
            long in "[a-ä\u{301}]{0,900}",
            max in 120..600_usize,
        ) {
            let payload = json!({ "a": texts, "b": long, "c": { long.clone(): 1 } });
            let cut = cut(&payload, max);
            prop_assert!(cut.to_string().len() <= max.max(90 + MIN_TEXT * 4), "{}", cut);
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            prop_assert_eq!(keys(&cut), keys(&payload));
        }
    }
}
