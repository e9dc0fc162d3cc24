//! The **caller** is the viewer as handlers know them: ids that the host has verified, and the part of the inbox they may see.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use campanile::Database;
use campanile::event::recipient::{self, InvalidInput};
use campanile_inbox::Inbox;

use crate::problem::{OTHER_ORGANIZATION, Problem};
use crate::viewer::Viewer;

/// The user of a request. Only the router makes one, from the host's extractor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    user: String,
    org: Option<String>,
}

impl Caller {
    pub(crate) fn of(viewer: &impl Viewer) -> Result<Self, InvalidInput> {
        recipient::check("user_id", viewer.user_id())?;
        if let Some(org) = viewer.org_id() {
            recipient::check("org_id", org)?;
        }
        Ok(Self {
            user: viewer.user_id().to_owned(),
            org: viewer.org_id().map(str::to_owned),
        })
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The organization to show: the session's, or, in a session without one, the requested one.
    pub(crate) fn org<'c>(&'c self, asked: Option<&'c str>) -> Result<Option<&'c str>, Problem> {
        match (self.org.as_deref(), asked) {
            (Some(own), Some(asked)) if own != asked => Err(Problem::new(
                OTHER_ORGANIZATION,
                "the inbox is limited to the organization of the session; leave out `org`",
            )),
            (Some(own), _) => Ok(Some(own)),
            (None, asked) => Ok(asked),
        }
    }

    /// The caller's inbox, or the requested part of it.
    pub(crate) fn inbox(&self, database: &Database, asked: Option<&str>) -> Result<Inbox, Problem> {
        let inbox = Inbox::for_user(database, &self.user)?;
        Ok(match self.org(asked)? {
            Some(org) => inbox.in_org(org)?,
            None => inbox,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get().cloned();
        caller.ok_or_else(|| {
            tracing::error!(target: "campanile", "a request reached a handler without its caller");
            Problem::internal()
        })
    }
}
