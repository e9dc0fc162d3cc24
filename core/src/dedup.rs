//! A **window** is the time in which the same (event type, dedup key, recipient) is one notification.
//!
//! This file makes the key; the store claims the window with it. The clock is the database's.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::event::EventDeclaration;
use crate::payload::{Payload, PayloadError};

/// The longest key that is stored as it is; a longer one is hashed.
const LONGEST_KEY: usize = 200;

/// The key of one dispatch of an event: its parts joined by `:`.
///
/// It is injective: `:` and `%` inside a part are escaped, an absent part (`%-`) is told apart from an empty one, and a
/// hash (`%#..`) from a key that only looks like one.
///
/// # Errors
///
/// A key field that holds a float, a list or a map. Most of these are refused while compiling; an enum with data is not.
pub(crate) fn key(
    event: &EventDeclaration,
    subject_id: Option<&str>,
    payload: &Payload,
) -> Result<String, PayloadError> {
    let parts: Vec<Option<String>> = event
        .dedup
        .by
        .iter()
        .map(|name| match *name {
            "subject" => Ok(subject_id.map(str::to_owned)),
            field => scalar(field, payload.json().get(field)),
        })
        .collect::<Result<_, _>>()?;
    Ok(join(&parts))
}

fn scalar(field: &str, value: Option<&serde_json::Value>) -> Result<Option<String>, PayloadError> {
    match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text.clone())),
        Some(serde_json::Value::Bool(value)) => Ok(Some(value.to_string())),
        Some(serde_json::Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
        Some(_) => Err(PayloadError::at(
            field,
            "it is part of the dedup key and must be text, a whole number, a boolean or an enum without data",
        )),
    }
}

fn join(parts: &[Option<String>]) -> String {
    let key = parts
        .iter()
        .map(|part| match part {
            Some(text) => text.replace('%', "%25").replace(':', "%3A"),
            None => "%-".to_owned(),
        })
        .collect::<Vec<_>>()
        .join(":");
    if key.len() <= LONGEST_KEY {
        return key;
    }
    Sha256::digest(&key)
        .iter()
        .fold("%#".to_owned(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "the form of a part")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_eq!(join(&[some("a:b"), some("c")]), "a%3Ab:c");
        assert_ne!(
            join(&[some("a"), some("b:c")]),
            join(&[some("a:b"), some("c")])
        );
    }

    #[test]
    fn absent_is_not_empty_and_not_its_own_spelling() {
        assert_eq!(join(&[None]), "%-");
        assert_eq!(join(&[some("")]), "");
        assert_ne!(join(&[some("%-")]), join(&[None]));
    }

    #[test]
    fn long_keys_are_hashed_and_stay_apart() {
        let long = "x".repeat(LONGEST_KEY + 1);
        let hashed = join(&[some(&long)]);
        assert_eq!(hashed.len(), 2 + 64);
        assert_ne!(hashed, join(&[some(&(long + "y"))]));
        assert_ne!(hashed, join(&[some(&hashed)]));
    }

    proptest! {
        #[test]
        fn different_parts_give_different_keys(
            left in prop::collection::vec(prop::option::of("[a%:-]{0,4}"), 2),
            right in prop::collection::vec(prop::option::of("[a%:-]{0,4}"), 2),
        ) {
            prop_assert_eq!(join(&left) == join(&right), left == right);
        }
    }
}
