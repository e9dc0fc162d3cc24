//! The **API**: what its handlers share, and the table of its routes. Keys are camelCase, times RFC 3339.

pub(crate) mod counts;
pub(crate) mod inbox;
pub(crate) mod marks;
mod events;
pub(crate) mod preferences;

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, header};
use campanile::preferences::UserPreferences;
use campanile::{Database, Dispatcher};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Caller;
use crate::live::Live;
use crate::problem::Problem;
use crate::rate::Rate;
use crate::settings::Settings;
use crate::settings_page;

/// What every handler needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Web(Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) rate: Rate,
    pub(crate) page: settings_page::Page,
    pub(crate) live: Live,
}

impl Web {
    pub(crate) fn new(dispatcher: Dispatcher, settings: Settings) -> Self {
        Self(Arc::new(Parts {
            rate: Rate::new(settings.requests_per_second, settings.burst),
            page: settings_page::Page::new(settings.page),
            live: Live::new(dispatcher.clone(), settings.live),
            dispatcher,
        }))
    }

    pub(crate) fn database(&self) -> &Database {
        self.0.dispatcher.database()
    }

    pub(crate) fn preferences_of(&self, caller: &Caller) -> Result<UserPreferences<'_>, Problem> {
        Ok(self.0.dispatcher.preferences_of(caller.user())?)
    }
}

impl std::ops::Deref for Web {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Every route, once: for the router and for the document.
pub(crate) fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(inbox::list))
        .routes(routes!(counts::read))
        .routes(routes!(marks::change))
        .routes(routes!(marks::seen))
        .routes(routes!(marks::read_all))
        .routes(routes!(events::listen))
        .routes(routes!(preferences::read, preferences::switch))
        .routes(routes!(settings_page::show, settings_page::submit))
}

/// To be kept, and asked about each time.
fn revalidate() -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_static("private, no-cache");
    (header::CACHE_CONTROL, value)
}
