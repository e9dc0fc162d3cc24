//! **Recipients** are user ids, the host's own, as text. The caller resolves an audience to ids.

use std::collections::HashSet;

/// The maximum length of an id of a user, subject or organization, in bytes.
pub const MAX_ID: usize = 255;

/// An id or another short text that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`{} {reason}", index.map(|index| format!("[{index}]")).unwrap_or_default())]
pub struct InvalidInput {
    field: String,
    index: Option<usize>,
    reason: String,
}

impl InvalidInput {
    /// Which input.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Its position, where the input is a list.
    #[must_use]
    pub const fn index(&self) -> Option<usize> {
        self.index
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn new(field: &str, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            index: None,
            reason: reason.into(),
        }
    }
}

/// Refuses an id that is empty, longer than [`MAX_ID`], or holds NUL or another control character.
///
/// # Errors
///
/// Names `field` and the reason.
pub fn check(field: &str, id: &str) -> Result<(), InvalidInput> {
    check_text(field, id, MAX_ID)
}

pub(crate) fn check_text(field: &str, text: &str, max_length: usize) -> Result<(), InvalidInput> {
    if text.is_empty() {
        return Err(InvalidInput::new(field, "is empty"));
    }
    if text.len() > max_length {
        let reason = format!("is {} bytes long and may have {max_length}", text.len());
        return Err(InvalidInput::new(field, reason));
    }
    if let Some(character) = text.chars().find(|character| character.is_control()) {
        let reason = format!("holds the control character U+{:04X}", u32::from(character));
        return Err(InvalidInput::new(field, reason));
    }
    Ok(())
}

/// The distinct recipients in ascending order, and how many ids were repeats.
///
/// Ascending, because two writers that lock the same rows in different orders deadlock.
pub(crate) fn distinct(recipients: Vec<String>) -> Result<(Vec<String>, usize), InvalidInput> {
    for (index, id) in recipients.iter().enumerate() {
        check("recipient_user_ids", id).map_err(|error| InvalidInput {
            index: Some(index),
            ..error
        })?;
    }
    let given = recipients.len();
    let mut seen = HashSet::with_capacity(given);
    let mut distinct: Vec<String> = recipients
        .into_iter()
        .filter(|id| seen.insert(id.clone()))
        .collect();
    distinct.sort_unstable();
    let repeated = given - distinct.len();
    Ok((distinct, repeated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn repeats_are_counted_and_the_rest_is_sorted() {
        assert_eq!(
            distinct(ids(&["b", "a", "b"])).unwrap(),
            (ids(&["a", "b"]), 1)
        );
    }

    #[test]
    fn a_bad_id_is_named_by_its_index() {
        for (bad, reason) in [
            ("", "is empty"),
            ("a\0", "holds the control character U+0000"),
            ("a\nb", "holds the control character U+000A"),
        ] {
            let error = distinct(ids(&["ok", bad])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`recipient_user_ids`[1] {reason}")
            );
        }
        assert!(distinct(vec!["x".repeat(MAX_ID)]).is_ok());
        assert!(distinct(vec!["x".repeat(MAX_ID + 1)]).is_err());
    }
}
