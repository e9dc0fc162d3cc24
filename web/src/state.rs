//! The **state** that every handler has.

use std::sync::Arc;

use campanile::preferences::UserPreferences;
use campanile::{Database, Dispatcher};

use crate::caller::Caller;
use crate::live::Live;
use crate::problem::Problem;
use crate::rate::Rate;
use crate::settings::Settings;
use crate::settings_page::view::Page;

/// What every handler needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Web(Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) rate: Rate,
    pub(crate) page: Page,
    pub(crate) live: Live,
}

impl Web {
    pub(crate) fn new(dispatcher: Dispatcher, settings: Settings) -> Self {
        Self(Arc::new(Parts {
            rate: Rate::new(settings.requests_per_second, settings.burst),
            page: Page::new(settings.page),
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
