//! A **secret** field of an event is shown only by channels that pass it on to its recipient.
//!
//! Content that contains it is stored in the row of the delivery itself, and erased by the statement that ends the delivery. All
//! other channels, and everything else that is stored, contain null instead.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::channel::delivery::{Hidden, Parts};

/// What stands for a secret where people look.
const MASK: &str = "[secret]";

/// The same for a link, so that a part that must be a link can still be rendered.
const MASKED_LINK: &str = "https://secret.invalid/";

/// A shorter text is not hidden: it can be guessed anyway, and occurs in unrelated texts.
const MIN_TEXT: usize = 4;

/// The content that one delivery stores for itself until it ends.
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

/// A value of the same shape that reveals nothing.
pub(crate) fn mask(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("https://") => MASKED_LINK.into(),
        Value::String(text) if text.starts_with("http://") => "http://localhost/secret".into(),
        Value::String(text) if text.starts_with("mailto:") => "mailto:secret@secret.invalid".into(),
        Value::String(text) if text.starts_with('/') => "/secret".into(),
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
        assert_eq!(mask(&json!("/reset?t=1")), "/secret");
        assert_eq!(
            mask(&json!("mailto:a@b.example")),
            "mailto:secret@secret.invalid"
        );
    }
}
