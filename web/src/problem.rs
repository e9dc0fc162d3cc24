//! A **problem** is an error answer: RFC 9457 JSON whose `type` never changes. Internal details are only logged.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use campanile::StoreError;
use campanile::event::recipient::InvalidInput;
use campanile::preferences::PreferenceError;
use campanile_inbox::InboxError;
use serde_json::{Map, Value, json};

/// A kind of problem: its status, the end of its `type`, its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) status: StatusCode,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
}

/// The prefix of every `type`.
pub(crate) const TYPES: &str = "urn:campanile:problem:";

macro_rules! kinds {
    ($($kind:ident = $status:ident, $name:literal, $title:literal;)+) => {
        $(pub(crate) const $kind: Kind = Kind { status: StatusCode::$status, name: $name, title: $title };)+

        /// Every kind, for the document.
        pub(crate) const KINDS: &[Kind] = &[$($kind),+];
    };
}

kinds! {
    INVALID_QUERY = BAD_REQUEST, "invalid-query", "A parameter of the query cannot be used";
    INVALID_LIMIT = BAD_REQUEST, "invalid-limit", "A page has from 1 to 100 items";
    INVALID_CURSOR = BAD_REQUEST, "invalid-cursor", "The cursor is not one of this view";
    MALFORMED_BODY = BAD_REQUEST, "malformed-body", "The body is not JSON";
    CROSS_ORIGIN = FORBIDDEN, "cross-origin", "A page of another origin must not change anything";
    OTHER_ORGANIZATION = FORBIDDEN, "other-organization", "The session is in another organization";
    UNKNOWN_NOTIFICATION = NOT_FOUND, "unknown-notification", "There is no such notification in this inbox";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not support the method";
    CRITICAL_CHANNEL = CONFLICT, "critical-channel", "The channel cannot be muted";
    PREFERENCES_CHANGED = PRECONDITION_FAILED, "preferences-changed", "The preferences have changed since they were read";
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    JSON_REQUIRED = UNSUPPORTED_MEDIA_TYPE, "json-required", "The body has to be application/json";
    FORM_REQUIRED = UNSUPPORTED_MEDIA_TYPE, "form-required", "The body has to be a form";
    INVALID_BODY = UNPROCESSABLE_ENTITY, "invalid-body", "The body does not have the expected shape";
    UNKNOWN_CATEGORY = UNPROCESSABLE_ENTITY, "unknown-category", "There is no such category";
    UNKNOWN_CHANNEL = UNPROCESSABLE_ENTITY, "unknown-channel", "No event of the category goes to this channel";
    VERSION_REQUIRED = PRECONDITION_REQUIRED, "version-required", "`If-Match` is required";
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS, "too-many-requests", "Too many requests";
    TOO_MANY_CONNECTIONS = TOO_MANY_REQUESTS, "too-many-connections", "The user has too many live connections";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal", "Something went wrong here";
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "The database did not answer";
}

/// `{ "type", "title", "status", "detail", .. }` as `application/problem+json`.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    more: Map<String, Value>,
    retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            more: Map::new(),
            retry_after: None,
        }
    }

    /// Adds a member beside the standard ones.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.to_owned(), value.into());
        self
    }

    /// Sets after how many seconds to retry.
    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same problem, for a field of the body.
    pub(crate) fn of_body(self) -> Self {
        match self.kind {
            INVALID_QUERY => Self {
                kind: INVALID_BODY,
                ..self
            },
            _ => self,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// A bug of campanile's or of the host's; the details are logged and not sent.
    pub(crate) fn internal() -> Self {
        Self::new(INTERNAL, "the app's log has the details")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("{TYPES}{}", self.kind.name),
            "title": self.kind.title,
            "status": self.kind.status.as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut body {
            members.extend(self.more);
        }
        let json = HeaderValue::from_static("application/problem+json");
        let mut response = (self.kind.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(
            target: "campanile",
            error = &error as &dyn std::error::Error,
            "the database did not answer a request"
        );
        if error.is_transient() {
            Self::new(UNAVAILABLE, "try again in a moment").after(1)
        } else {
            Self::internal()
        }
    }
}

impl From<InvalidInput> for Problem {
    fn from(error: InvalidInput) -> Self {
        Self::new(INVALID_QUERY, error.to_string()).with("field", error.field())
    }
}

impl From<InboxError> for Problem {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::InvalidInput(input) => input.into(),
            InboxError::Store(error) => error.into(),
            InboxError::NotFound => Self::new(UNKNOWN_NOTIFICATION, error.to_string()),
            InboxError::InvalidLimit(_) => Self::new(INVALID_LIMIT, error.to_string()),
            InboxError::InvalidMoment => Self::new(INVALID_QUERY, error.to_string()),
            InboxError::InvalidCursor => Self::new(INVALID_CURSOR, error.to_string()),
            error => {
                tracing::error!(target: "campanile", %error, "an inbox was not read");
                Self::internal()
            }
        }
    }
}

impl From<PreferenceError> for Problem {
    fn from(error: PreferenceError) -> Self {
        let detail = error.to_string();
        match error {
            PreferenceError::Store(error) => error.into(),
            PreferenceError::UnknownCategory { known, .. } => {
                Self::new(UNKNOWN_CATEGORY, detail).with("known", known)
            }
            PreferenceError::UnknownChannel { known, .. } => {
                Self::new(UNKNOWN_CHANNEL, detail).with("known", known)
            }
            PreferenceError::Changed => Self::new(PREFERENCES_CHANGED, detail),
            PreferenceError::Locked { reason, .. } => {
                Self::new(CRITICAL_CHANNEL, detail).with("reason", reason)
            }
            error => {
                tracing::error!(target: "campanile", %error, "preferences were not read");
                Self::internal()
            }
        }
    }
}
