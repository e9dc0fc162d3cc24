//! An **entity tag**: the version of an answer, and whether the client has that version already.

use axum::http::{HeaderName, HeaderValue, header};
use axum_extra::TypedHeader;
use axum_extra::headers::{ETag, IfNoneMatch};

/// What the client has: `If-None-Match`.
pub(crate) type Known = Option<TypedHeader<IfNoneMatch>>;

/// The strong tag of a version, which consists of hexadecimal digits and dots.
pub(crate) fn etag(version: &str) -> ETag {
    let tag = format!("\"{version}\"");
    tag.parse().expect("a version is plain ASCII")
}

pub(crate) fn is_known(etag: &ETag, known: Known) -> bool {
    known.is_some_and(|TypedHeader(known)| !known.precondition_passes(etag))
}

/// A browser may keep the answer, but must revalidate it each time.
pub(crate) fn revalidate() -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_static("private, no-cache");
    (header::CACHE_CONTROL, value)
}
