//! The signed-in user of the tests' hosts: the **viewer** of campanile-web's routes.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use campanile_web::Viewer;

/// The state of the host's extractor, which the routes do not know: where a request names its session.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "made by tests")]
pub enum Session {
    /// In the header with this name.
    Header(&'static str),
    /// In the cookie with this name.
    Cookie(&'static str),
}

/// The signed-in user: an unchecked name, and the organization of the header `x-org`.
#[derive(Debug, Clone)]
pub struct CurrentUser {
    /// The user's id.
    pub id: String,
    org: Option<String>,
}

impl Session {
    fn user(self, parts: &Parts) -> Option<String> {
        let name = match self {
            Self::Header(name) => text(parts, name)?,
            Self::Cookie(name) => {
                // The cookie with the longest path comes first.
                let first = text(parts, header::COOKIE.as_str())?.split(';').next()?;
                first.strip_prefix(name)?.strip_prefix('=')?
            }
        };
        Some(name.to_owned())
    }
}

fn text<'a>(parts: &'a Parts, header: &str) -> Option<&'a str> {
    parts.headers.get(header)?.to_str().ok()
}

impl FromRequestParts<Session> for CurrentUser {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, session: &Session) -> Result<Self, StatusCode> {
        Ok(Self {
            id: session.user(parts).ok_or(StatusCode::UNAUTHORIZED)?,
            org: text(parts, "x-org").map(str::to_owned),
        })
    }
}

impl Viewer for CurrentUser {
    fn user_id(&self) -> &str {
        &self.id
    }

    fn org_id(&self) -> Option<&str> {
        self.org.as_deref()
    }
}
