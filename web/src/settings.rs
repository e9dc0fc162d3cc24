//! What a host may **set**: how much one user may ask for, which other origins it trusts.

use tower_http::csrf::CsrfLayer;

use crate::live::Options;
use crate::settings_page::SettingsPage;

/// What a host may set of its [`router`](crate::router). [`Settings::default`] needs nothing.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) requests_per_second: u32,
    pub(crate) burst: u32,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) page: SettingsPage,
    pub(crate) live: Options,
}

/// Why a setting is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not an origin.
    #[error("`{0}` is no origin: write `https://app.example.com`, without a path")]
    InvalidOrigin(String),
}

impl Default for Settings {
    /// 10 requests a second for each user, 60 at once; no origin but the host's own.
    fn default() -> Self {
        Self {
            requests_per_second: 10,
            burst: 60,
            trusted_origins: Vec::new(),
            page: SettingsPage::default(),
            live: Options::default(),
        }
    }
}

impl Settings {
    /// How much one user may ask of one process: so many requests a second in the long run, and so many at once.
    #[must_use]
    pub fn rate(mut self, requests_per_second: u32, burst: u32) -> Self {
        self.requests_per_second = requests_per_second.max(1);
        self.burst = burst.max(1);
        self
    }

    /// Another origin whose pages may change something, `https://app.example.com`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::InvalidOrigin`].
    pub fn trust_origin(mut self, origin: impl Into<String>) -> Result<Self, SettingsError> {
        let origin = origin.into();
        if CsrfLayer::new().add_trusted_origin(&origin).is_err() {
            return Err(SettingsError::InvalidOrigin(origin));
        }
        self.trusted_origins.push(origin);
        Ok(self)
    }

    /// What the settings page says: its title, its language, its words.
    #[must_use]
    pub fn page(mut self, page: SettingsPage) -> Self {
        self.page = page;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        for wrong in ["app.example.com", "https://app.example.com/path", ""] {
            let error = Settings::default().trust_origin(wrong).unwrap_err();
            assert!(error.to_string().contains("`https://app.example.com`"));
        }
        assert!(
            Settings::default()
                .trust_origin("https://app.example.com")
                .is_ok()
        );
    }
}
