//! A **window** is the time in which the same (event type, dedup key, recipient) is one notification.
//!
//! This file builds the key; the store claims the window with it, by the database's clock.
//!
//! A **repeat** is a dispatch whose key, event type and recipient have an open window: nobody is notified again. For a notice
//! without a subject, the payload takes the subject's place, so that only an identical notice is a repeat; if it has secret
//! fields, it never has a repeat.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::event::payload::Payload;
use crate::event::{EventDeclaration, Until};

/// The maximum length of a key that is stored unchanged; a longer one is hashed.
const MAX_KEY: usize = 200;

/// The key of one dispatch of an event: its parts joined by `:`.
///
/// It is injective: `:` and `%` inside a part are escaped, an absent part (`%-`) differs from an empty one, and a hash (`%#..` of
/// a long key, `%=..` of JSON) and an id (`%!..`) differ from text that only looks like one.
///
/// A field that holds no single value (an enum with data) is hashed; floats, lists and maps are rejected at compile time.
pub(crate) fn key(event: &EventDeclaration, subject_id: Option<&str>, payload: &Payload) -> Key {
    let parts: Vec<Part> = event
        .dedup
        .by
        .iter()
        .map(|name| match *name {
            "subject" => subject_id.map_or_else(|| of_payload(payload), text),
            field => of_field(payload.json().get(field)),
        })
        .collect();
    let whole = join(&parts);
    match event.dedup.until {
        Until::Elapsed => Key {
            window: whole,
            variant: None,
        },
        Until::Changed => {
            let subject = subject_id.filter(|_| event.dedup.by.contains(&"subject"));
            let subject = subject.map_or_else(|| ABSENT.to_owned(), text);
            Key {
                window: join(&[subject, ANY.to_owned()]),
                variant: Some(whole),
            }
        }
    }
}

/// How a window is found, and for which key it is open.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// The key of the window's row.
    pub(crate) window: String,
    /// The whole key, if all keys of one subject share a row: only the key that was admitted last has an open window.
    pub(crate) variant: Option<String>,
}

/// The whole key.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.variant.as_ref().unwrap_or(&self.window))
    }
}

/// One part of a key, in the form in which it is joined with the others.
type Part = String;

const ABSENT: &str = "%-";

/// Takes the place of the parts that may change, in the key of a row that all their values share.
const ANY: &str = "%~";

fn text(text: &str) -> Part {
    text.replace('%', "%25").replace(':', "%3A")
}

/// The payload in the place of a subject. A payload with secrets gets a unique key: a one-time code could be guessed from
/// anything derived from it.
fn of_payload(payload: &Payload) -> Part {
    match payload.hidden() {
        Some(_) => format!("%!{}", Uuid::now_v7()),
        None => whole(payload.json()),
    }
}

/// JSON as one part, whatever it contains and independent of the order of its keys.
fn whole(json: &serde_json::Value) -> Part {
    let mut json = json.clone();
    json.sort_all_objects();
    hash("%=", &json.to_string())
}

fn of_field(value: Option<&serde_json::Value>) -> Part {
    match value {
        None | Some(serde_json::Value::Null) => ABSENT.to_owned(),
        Some(serde_json::Value::String(value)) => text(value),
        Some(serde_json::Value::Bool(value)) => value.to_string(),
        Some(serde_json::Value::Number(number)) => number.to_string(),
        Some(value) => whole(value),
    }
}

fn join(parts: &[Part]) -> String {
    let key = parts.join(":");
    if key.len() <= MAX_KEY {
        return key;
    }
    hash("%#", &key)
}

fn hash(sign: &str, text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().fold(sign.to_owned(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(parts: &[Option<&str>]) -> String {
        let parts: Vec<Part> = parts
            .iter()
            .map(|part| part.map_or_else(|| ABSENT.to_owned(), text))
            .collect();
        join(&parts)
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_eq!(joined(&[Some("a:b"), Some("c")]), "a%3Ab:c");
        assert_ne!(
            joined(&[Some("a"), Some("b:c")]),
            joined(&[Some("a:b"), Some("c")])
        );
    }

    #[test]
    fn an_absent_part_differs_from_an_empty_one_and_from_its_own_spelling() {
        assert_eq!(joined(&[None]), "%-");
        assert_eq!(joined(&[Some("")]), "");
        assert_ne!(joined(&[Some("%-")]), joined(&[None]));
    }

    #[test]
    fn long_keys_are_hashed_and_stay_distinct() {
        let long = "x".repeat(MAX_KEY + 1);
        let hashed = joined(&[Some(&long)]);
        assert_eq!(hashed.len(), 2 + 64);
        assert_ne!(hashed, joined(&[Some(&(long + "y"))]));
        assert_ne!(hashed, joined(&[Some(&hashed)]));
    }

    #[test]
    fn a_payload_is_one_part_independent_of_the_order_of_its_keys() {
        let read = |json: &str| whole(&serde_json::from_str(json).unwrap());
        let part = read(r#"{ "a": { "b": 1, "c": [2] }, "d": "x" }"#);
        assert_eq!(part, read(r#"{ "d": "x", "a": { "c": [2], "b": 1 } }"#));
        assert_ne!(part, read(r#"{ "d": "x", "a": { "c": [2], "b": 2 } }"#));
        // It is not text: a subject that is spelled like it differs from it.
        assert_ne!(text(&part), part);
    }

    proptest! {
        #[test]
        fn different_parts_give_different_keys(
            left in prop::collection::vec(prop::option::of("[a%:=-]{0,4}"), 2),
            right in prop::collection::vec(prop::option::of("[a%:=-]{0,4}"), 2),
        ) {
            let key = |parts: &[Option<String>]| {
                joined(&parts.iter().map(Option::as_deref).collect::<Vec<_>>())
            };
            prop_assert_eq!(key(&left) == key(&right), left == right);
        }
    }
}
