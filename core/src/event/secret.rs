//! A **secret** field of an event is shown by the channels that hand it to its recipient, and kept nowhere else.
//!
//! What was rendered with it waits in the row of the delivery itself, and is erased in the statement that ends the delivery. Every
//! other channel, and whatever is stored, has null in its place.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::channel::delivery::{Delivery, Hidden, Parts, Verdict};

/// What stands for a secret where people look.
const MASK: &str = "[secret]";

/// The same for a link, so that a template may go on with it.
const MASKED_LINK: &str = "https://secret.invalid/";

/// A shorter text can be guessed anyway, and may be in anything.
const MIN_TEXT: usize = 4;

/// Pieces of a secret that are shorter are words that mean nothing by themselves.
const MIN_PIECE: usize = 6;

/// What is kept of one delivery until it ends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) parts: Arc<Parts>,
    pub(crate) hidden: Hidden,
}

/// The same payload with `replaced` in the place of its secret fields.
pub(crate) fn replace(
    payload: &Value,
    secrets: &[&str],
    replaced: impl Fn(&Value) -> Value,
) -> Value {
    let Value::Object(fields) = payload else {
        return payload.clone();
    };
    let fields = fields.iter().map(|(field, value)| {
        let is_secret = secrets.contains(&field.as_str());
        let value = if is_secret {
            replaced(value)
        } else {
            value.clone()
        };
        (field.clone(), value)
    });
    fields.collect()
}

/// A value of the same shape that tells nothing.
pub(crate) fn mask(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("https://") => MASKED_LINK.into(),
        Value::String(_) => MASK.into(),
        Value::Number(_) => 0.into(),
        Value::Bool(_) => false.into(),
        Value::Array(items) => items.iter().map(mask).collect(),
        Value::Object(entries) => {
            let masked = entries
                .iter()
                .map(|(key, value)| (key.clone(), mask(value)));
            masked.collect()
        }
        Value::Null => Value::Null,
    }
}

/// The texts and numbers inside the secret fields.
pub(crate) fn hidden(payload: &Value, secrets: &[&str]) -> Hidden {
    let mut texts = Vec::new();
    for secret in secrets {
        collect(&payload[*secret], &mut texts);
    }
    texts.retain(|text| text.len() >= MIN_TEXT);
    // The longest first: one may be part of another.
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts.dedup();
    texts.into()
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.trim().is_empty() => texts.push(text.trim().to_owned()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(entries) => entries.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

/// The same text without these, and without the longer pieces of them, in which an encoded link may be repeated.
pub(crate) fn scrub(text: &str, hidden: &[String]) -> String {
    let is_between = |c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_');
    let pieces = hidden
        .iter()
        .flat_map(|text| text.split(is_between))
        .filter(|piece| piece.len() >= MIN_PIECE);
    let all = hidden.iter().map(String::as_str).chain(pieces);
    all.fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

/// The verdicts of a call without what their deliveries hide: a provider may repeat in its refusal what it was sent.
pub(crate) fn scrub_verdicts(verdicts: Vec<Verdict>, batch: &[Delivery]) -> Vec<Verdict> {
    let hidden = batch.iter().flat_map(|delivery| &*delivery.past.hidden);
    let mut hidden: Vec<String> = hidden.cloned().collect();
    if hidden.is_empty() {
        return verdicts;
    }
    hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
    hidden.dedup();
    let scrubbed = verdicts.into_iter().map(|verdict| {
        verdict.map_error(|error| error.map_message(|message| scrub(message, &hidden)))
    });
    scrubbed.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_keeps_its_shape_and_tells_nothing() {
        let payload = json!({
            "name": "Ada", "link": "https://app.example/in?t=s3cr3t", "code": 123_456,
            "more": { "on": true, "list": ["a", null] },
        });
        let masked = replace(&payload, &["link", "code", "more"], mask);
        assert_eq!(
            masked,
            json!({
                "name": "Ada", "link": MASKED_LINK, "code": 0, "more": { "on": false, "list": [MASK, null] },
            })
        );
    }

    #[test]
    fn a_refusal_that_repeats_a_secret_is_kept_without_it() {
        let payload =
            json!({ "link": "https://app.example/in?token=a1b2c3d4-e5&v=2", "code": 123_456 });
        let hidden = hidden(&payload, &["link", "code"]);
        assert_eq!(hidden.len(), 2);
        let refused = "bad link https://app.example/in?token=a1b2c3d4-e5&v=2 (in%3Ftoken%3Da1b2c3d4-e5), code 123456";
        assert_eq!(
            scrub(refused, &hidden),
            "bad link [secret] (in%3Ftoken%3D[secret]), code [secret]"
        );
        assert_eq!(scrub("550 no such user", &hidden), "550 no such user");
    }
}
