//! An **entity tag**: the version of an answer, and a request's word on which one it knows.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// A strong tag of what is safe inside quotes: hexadecimal digits, numbers and dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Etag(String);

impl Etag {
    pub(crate) fn new(version: &str) -> Self {
        Self(format!("\"{version}\""))
    }

    pub(crate) fn header(&self) -> (HeaderName, HeaderValue) {
        let value = HeaderValue::try_from(&self.0).expect("a version is plain ASCII");
        (header::ETAG, value)
    }

    /// Whether the client has this version already: `If-None-Match`, where a weak tag is as good.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        tags(headers, &header::IF_NONE_MATCH)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }

    /// Whether the client means this version: `If-Match`, where a weak tag never is. `None` if it does not say.
    pub(crate) fn is_meant(&self, headers: &HeaderMap) -> Option<bool> {
        headers
            .contains_key(header::IF_MATCH)
            .then(|| tags(headers, &header::IF_MATCH).any(|tag| tag == "*" || tag == self.0))
    }
}

/// No version of ours holds a comma.
fn tags<'h>(headers: &'h HeaderMap, name: &'h HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_a_version_and_a_weak_tag_only_what_is_known() {
        let etag = Etag::new("1.2");
        let says = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        for (value, known, meant) in [
            ("\"1.2\"", true, true),
            ("\"0\", \"1.2\"", true, true),
            ("W/\"1.2\"", true, false),
            ("*", true, true),
            ("1.2", false, false),
            ("\"1.3\"", false, false),
            ("", false, false),
        ] {
            assert_eq!(
                etag.is_known(&says(header::IF_NONE_MATCH, value)),
                known,
                "{value}"
            );
            assert_eq!(
                etag.is_meant(&says(header::IF_MATCH, value)),
                Some(meant),
                "{value}"
            );
        }
        assert_eq!(etag.is_meant(&HeaderMap::new()), None);
        assert!(!etag.is_known(&HeaderMap::new()));
    }
}
