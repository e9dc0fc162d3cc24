//! The **payload** of an event: its fields, checked once, before any database sees them.
//!
//! It is data, never a template. Templates see all of it; the stored copy is cut, so that a long text from one user cannot
//! keep the others from being notified.

use std::sync::Arc;

use minijinja::value::{Serde, Value, ValueKind};
use serde::Serialize;

use crate::channel::ChannelDeclaration;
use crate::channel::delivery::Hidden;
use crate::event::NotifiableEvent;
use crate::event::secret;
use crate::event::stored;
use crate::event::suggest::{did_you_mean, shown};

/// The largest payload, as compact JSON. A larger one is refused.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

/// The maximum size of a stored payload, as compact JSON. In a larger one, long texts are cut and end in `…`; if that is not
/// enough, lists and maps are cut too.
pub const MAX_STORED_PAYLOAD: usize = 64 * 1024;

/// The deepest nesting of lists and objects in a payload.
pub const MAX_PAYLOAD_DEPTH: usize = 32;

/// An event's fields, checked: as a value for the templates, and as JSON for the database.
#[derive(Clone)]
pub struct Payload {
    value: Value,
    json: Arc<serde_json::Value>,
    stored: Arc<serde_json::Value>,
    is_cut: bool,
    secret: Option<Secret>,
}

/// What a payload with secret fields contains in addition.
#[derive(Clone)]
struct Secret {
    /// The value for templates that must not show secrets.
    open: Value,
    hidden: Hidden,
}

/// Why a payload was refused. It names the field where one can be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", field.as_ref().map(|field| format!("field `{field}`: ")).unwrap_or_default())]
pub struct PayloadError {
    field: Option<String>,
    reason: String,
}

impl PayloadError {
    /// The field at fault, as a path: `lines[2].amount`.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    fn whole(reason: impl Into<String>) -> Self {
        Self {
            field: None,
            reason: reason.into(),
        }
    }

    pub(crate) fn at(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            reason: reason.into(),
        }
    }

    /// The same error with a longer path: `parent` is the enclosing field, or `[2]` in a list.
    fn below(self, parent: &str) -> Self {
        let field = match self.field {
            None => parent.to_owned(),
            Some(field) if field.starts_with('[') => format!("{parent}{field}"),
            Some(field) => format!("{parent}.{field}"),
        };
        Self::at(field, self.reason)
    }
}

impl Payload {
    /// Checks the fields of a typed event, of which these are secret.
    pub(crate) fn of<E: Serialize>(event: &E, secrets: &[&str]) -> Result<Self, PayloadError> {
        // The templates' value keeps NaN and infinity, which JSON would silently turn into null.
        let mut value = Value::from(Serde(event));
        check(&value, 0)?;
        let mut json = match serde_json::to_value(event) {
            Ok(serde_json::Value::Null) => serde_json::Value::Object(serde_json::Map::new()),
            Ok(json) => json,
            Err(error) => return Err(PayloadError::whole(error.to_string())),
        };
        let mut text = json.to_string();
        // So is NUL written in JSON, which a database cannot store as text.
        if text.contains("\\u0000") {
            json = stored::without_nul(json);
            text = json.to_string();
            value = Value::from(Serde(&json));
        }
        let size = text.len();
        if size > MAX_PAYLOAD {
            return Err(PayloadError::whole(format!(
                "it is {size} bytes of JSON and at most {MAX_PAYLOAD} are taken; \
                 send an id and let the reader fetch the rest"
            )));
        }
        let json = Arc::new(json);
        let (open, secret) = if secrets.is_empty() {
            (Arc::clone(&json), None)
        } else {
            let open = secret::replace(&json, secrets, |_| serde_json::Value::Null);
            let secret = Secret {
                open: Value::from(Serde(&open)),
                hidden: secret::hidden(&json, secrets),
            };
            (Arc::new(open), Some(secret))
        };
        let is_cut = size > MAX_STORED_PAYLOAD;
        let stored = if is_cut {
            Arc::new(stored::cut(&open, MAX_STORED_PAYLOAD))
        } else {
            open
        };
        Ok(Self {
            value,
            json,
            stored,
            is_cut,
            secret,
        })
    }

    /// Checks the fields of an event's example.
    ///
    /// # Errors
    ///
    /// When the example contains something that no payload may contain.
    #[doc(hidden)]
    pub fn example<E: NotifiableEvent>(example: &E) -> Result<Self, PayloadError> {
        Self::of(example, E::DECLARATION.secrets)
    }

    /// Reads untyped JSON as the fields of `E`.
    ///
    /// # Errors
    ///
    /// A key that is not a field, a field that is missing or has the wrong type, and the errors of [`Payload::of`].
    #[doc(hidden)]
    pub fn read<E: NotifiableEvent>(json: serde_json::Value) -> Result<Self, PayloadError> {
        let fields = E::DECLARATION.fields;
        let serde_json::Value::Object(object) = &json else {
            return Err(PayloadError::whole("it must be a JSON object"));
        };
        if let Some(key) = object.keys().find(|key| !fields.contains(&key.as_str())) {
            let advice = did_you_mean(key, fields.iter().copied());
            return Err(PayloadError::at(
                shown(key),
                format!("the event has no such field{advice}"),
            ));
        }
        let event: E = match serde_path_to_error::deserialize(json) {
            Ok(event) => event,
            // A struct without fields and braces is `null` to serde.
            Err(_) if fields.is_empty() => serde_json::from_value(serde_json::Value::Null)
                .map_err(|error| PayloadError::whole(error.to_string()))?,
            Err(error) => {
                let path = error.path().to_string();
                let reason = match top(&path) {
                    // serde's reason would quote the secret.
                    Some(field) if E::DECLARATION.secrets.contains(&field) => {
                        "it does not fit its type".to_owned()
                    }
                    _ => error.into_inner().to_string(),
                };
                return Err(if path == "." {
                    PayloadError::whole(reason)
                } else {
                    PayloadError::at(path, reason)
                });
            }
        };
        Self::of(&event, E::DECLARATION.secrets)
    }

    /// All of it.
    pub(crate) fn json(&self) -> &serde_json::Value {
        &self.json
    }

    /// What is stored of it.
    pub(crate) fn stored(&self) -> &Arc<serde_json::Value> {
        &self.stored
    }

    /// Whether what is stored is cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What the templates of a channel see.
    pub(crate) fn value(&self, channel: &ChannelDeclaration) -> &Value {
        match &self.secret {
            Some(secret) if !channel.shows_secrets() => &secret.open,
            _ => &self.value,
        }
    }

    /// The texts of its secret fields, if it has such fields.
    pub(crate) fn hidden(&self) -> Option<&Hidden> {
        self.secret.as_ref().map(|secret| &secret.hidden)
    }

    /// The same payload for display: secret fields are masked.
    pub(crate) fn masked(&self, secrets: &[&str]) -> Result<Self, PayloadError> {
        match self.secret {
            Some(_) => Self::of(&secret::replace(&self.json, secrets, secret::mask), secrets),
            None => Ok(self.clone()),
        }
    }
}

/// The first field of a path.
fn top(path: &str) -> Option<&str> {
    path.split(['.', '[']).next()
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payload(..)")
    }
}

/// Walks the value once: no NaN or infinity, not too deep. The path to a field is written for a refusal only: with every item of a
/// long list it would take as long as its keys are.
fn check(value: &Value, depth: usize) -> Result<(), PayloadError> {
    if depth > MAX_PAYLOAD_DEPTH {
        return Err(PayloadError::whole(format!(
            "it is nested deeper than {MAX_PAYLOAD_DEPTH} levels"
        )));
    }
    match value.kind() {
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if !number.is_finite() => {
                Err(PayloadError::whole("it is not a finite number"))
            }
            _ => Ok(()),
        },
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()
            .into_iter()
            .flatten()
            .enumerate()
            .try_for_each(|(index, item)| {
                check(&item, depth + 1).map_err(|error| error.below(&format!("[{index}]")))
            }),
        ValueKind::Map => value.try_iter().into_iter().flatten().try_for_each(|key| {
            let checked = match value.get_item(&key) {
                Ok(item) => check(&item, depth + 1),
                Err(error) => Err(PayloadError::whole(error.to_string())),
            };
            checked.map_err(|error| error.below(&key.to_string()))
        }),
        ValueKind::Invalid => Err(PayloadError::whole(value.to_string())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{EMAIL, INBOX};

    fn refusal(event: &impl Serialize) -> String {
        Payload::of(event, &[]).unwrap_err().to_string()
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_where_json_would_say_null() {
        #[derive(Serialize)]
        struct Measured {
            nested: Vec<f64>,
        }
        assert_eq!(
            refusal(&Measured {
                nested: vec![1.0, f64::NAN]
            }),
            "field `nested[1]`: it is not a finite number"
        );
        assert!(
            Payload::of(
                &Measured {
                    nested: vec![1.5, f64::MAX]
                },
                &[]
            )
            .is_ok()
        );
    }

    #[test]
    fn nul_becomes_a_character_that_a_database_can_store() {
        let json = serde_json::json!({
            "name": "a\0b", "map": { "k\0": 1 }, "escaped": "\\u0000",
        });
        let payload = Payload::of(&json, &[]).unwrap();
        let clean = serde_json::json!({
            "name": "a\u{FFFD}b", "map": { "k\u{FFFD}": 1 }, "escaped": "\\u0000",
        });
        assert_eq!(payload.json(), &clean);
        assert_eq!(payload.stored().as_ref(), &clean);
        let name = payload.value(&EMAIL).get_attr("name").unwrap();
        assert_eq!(name.as_str(), Some("a\u{FFFD}b"));
    }

    #[test]
    fn a_refusal_names_the_path_to_the_field() {
        let deep = (0..MAX_PAYLOAD_DEPTH).fold(
            serde_json::json!(1),
            |deep, _| serde_json::json!({ "in": [deep] }),
        );
        let error = Payload::of(&serde_json::json!({ "lines": [1, deep] }), &[]).unwrap_err();
        assert_eq!(
            error.field().map(|field| &field[..19]),
            Some("lines[1].in[0].in[0")
        );
    }

    #[test]
    fn a_long_list_below_a_long_key_is_checked_in_the_time_of_both() {
        // With the path of every item it is 50 GB.
        let payload = serde_json::json!({ "x".repeat(MAX_PAYLOAD / 2): vec![0; MAX_PAYLOAD / 10] });
        let begun = std::time::Instant::now();
        assert!(Payload::of(&payload, &[]).is_ok());
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn size_and_depth_have_limits() {
        let at = |size| Payload::of(&serde_json::json!({ "text": "x".repeat(size) }), &[]);
        assert!(!at(MAX_STORED_PAYLOAD - 11).unwrap().is_cut());
        assert!(at(MAX_STORED_PAYLOAD - 10).unwrap().is_cut());
        assert!(at(MAX_PAYLOAD - 11).is_ok());
        assert!(at(MAX_PAYLOAD - 10).is_err());
        let mut deep = serde_json::json!(1);
        for _ in 0..MAX_PAYLOAD_DEPTH {
            deep = serde_json::json!([deep]);
        }
        assert!(Payload::of(&deep, &[]).is_ok());
        assert!(refusal(&serde_json::json!({ "deep": deep })).contains("deeper than 32"));
    }

    #[test]
    fn what_is_secret_is_seen_by_channels_that_show_it_and_stored_as_null() {
        let json = serde_json::json!({ "name": "Ada", "link": "https://app.example/in?t=s3cr3t" });
        let payload = Payload::of(&json, &["link"]).unwrap();
        let seen = |channel| payload.value(channel).get_attr("link").unwrap();
        assert_eq!(seen(&EMAIL).as_str(), json["link"].as_str());
        assert!(seen(&INBOX).is_none());
        let stored = serde_json::json!({ "name": "Ada", "link": null });
        assert_eq!(payload.stored().as_ref(), &stored);
        let masked = payload.masked(&["link"]).unwrap();
        let link = masked.value(&EMAIL).get_attr("link").unwrap();
        assert_eq!(link.as_str(), Some("https://secret.invalid/"));
    }
}
