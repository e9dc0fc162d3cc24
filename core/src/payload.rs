//! The **payload** of an event: its fields, checked once, before any database sees them.
//!
//! It is data, never a template.

use minijinja::value::{Serde, Value, ValueKind};
use serde::Serialize;

use crate::event::NotifiableEvent;
use crate::suggest::{did_you_mean, shown};

/// The largest payload, as compact JSON.
pub const LARGEST_PAYLOAD: usize = 64 * 1024;

/// The deepest nesting of lists and objects in a payload.
pub const DEEPEST_PAYLOAD: usize = 32;

/// An event's fields, checked: as JSON for the database, and as a value for the templates.
#[derive(Clone)]
pub struct Payload {
    json: serde_json::Value,
    value: Value,
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
}

impl Payload {
    /// Checks the fields of a typed event.
    pub(crate) fn of<E: Serialize>(event: &E) -> Result<Self, PayloadError> {
        // The templates' value keeps NaN and infinity, which JSON would silently turn into null.
        let value = Value::from(Serde(event));
        check(&value, "", 0)?;
        let json = match serde_json::to_value(event) {
            Ok(serde_json::Value::Null) => serde_json::Value::Object(serde_json::Map::new()),
            Ok(json) => json,
            Err(error) => return Err(PayloadError::whole(error.to_string())),
        };
        let size = json.to_string().len();
        if size > LARGEST_PAYLOAD {
            return Err(PayloadError::whole(format!(
                "it is {size} bytes of JSON and at most {LARGEST_PAYLOAD} are stored; \
                 send an id and let the reader fetch the rest"
            )));
        }
        Ok(Self { json, value })
    }

    /// Reads untyped JSON as the fields of `E`.
    ///
    /// # Errors
    ///
    /// A key that is no field, a field that is missing or does not fit, and whatever [`Payload::of`] refuses.
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
                let reason = error.into_inner().to_string();
                return Err(if path == "." {
                    PayloadError::whole(reason)
                } else {
                    PayloadError::at(path, reason)
                });
            }
        };
        Self::of(&event)
    }

    pub(crate) fn json(&self) -> &serde_json::Value {
        &self.json
    }

    pub(crate) fn value(&self) -> &Value {
        &self.value
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payload(..)")
    }
}

/// Walks the value once: no NUL, no NaN or infinity, not too deep.
fn check(value: &Value, path: &str, depth: usize) -> Result<(), PayloadError> {
    if depth > DEEPEST_PAYLOAD {
        return Err(PayloadError::at(
            path,
            format!("it is nested deeper than {DEEPEST_PAYLOAD} levels"),
        ));
    }
    match value.kind() {
        ValueKind::String => no_nul(value.as_str().unwrap_or_default(), path),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if !number.is_finite() => {
                Err(PayloadError::at(path, "it is not a finite number"))
            }
            _ => Ok(()),
        },
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()
            .into_iter()
            .flatten()
            .enumerate()
            .try_for_each(|(index, item)| check(&item, &format!("{path}[{index}]"), depth + 1)),
        ValueKind::Map => value.try_iter().into_iter().flatten().try_for_each(|key| {
            let name = key.to_string();
            let below = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            no_nul(&name, path)?;
            match value.get_item(&key) {
                Ok(item) => check(&item, &below, depth + 1),
                Err(error) => Err(PayloadError::at(below, error.to_string())),
            }
        }),
        ValueKind::Invalid => Err(PayloadError::at(path, value.to_string())),
        _ => Ok(()),
    }
}

fn no_nul(text: &str, path: &str) -> Result<(), PayloadError> {
    if text.contains('\0') {
        return Err(PayloadError::at(
            path,
            "it holds a NUL character, which a database cannot store as text",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(event: &impl Serialize) -> String {
        Payload::of(event).unwrap_err().to_string()
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
            Payload::of(&Measured {
                nested: vec![1.5, f64::MAX]
            })
            .is_ok()
        );
    }

    #[test]
    fn nul_is_refused_in_values_and_in_keys() {
        assert!(refusal(&serde_json::json!({ "name": "a\0b" })).contains("`name`"));
        assert!(refusal(&serde_json::json!({ "map": { "a\0b": 1 } })).contains("NUL"));
    }

    #[test]
    fn size_and_depth_have_limits() {
        let at = |size| Payload::of(&serde_json::json!({ "text": "x".repeat(size) }));
        assert!(at(LARGEST_PAYLOAD - 11).is_ok());
        assert!(at(LARGEST_PAYLOAD - 10).is_err());
        let mut deep = serde_json::json!(1);
        for _ in 0..DEEPEST_PAYLOAD {
            deep = serde_json::json!([deep]);
        }
        assert!(Payload::of(&deep).is_ok());
        assert!(refusal(&serde_json::json!({ "deep": deep })).contains("deeper than 32"));
    }
}
