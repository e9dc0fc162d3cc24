//! What a host may **set**: the key of cursors, how much one user may ask for, which other origins it trusts.

use rand::RngExt as _;
use secrecy::SecretSlice;
use tower_http::csrf::CsrfLayer;

use crate::live::Options;
use crate::settings_page::SettingsPage;

/// The shortest key, in bytes: as long as what it makes.
const MIN_KEY: usize = 32;

/// What a host may set of its [`router`](crate::router). [`Settings::default`] needs nothing, in one process.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) cursor_key: SecretSlice<u8>,
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
    /// A key that is too short to be one.
    #[error(
        "the cursor key has {0} bytes and needs {MIN_KEY}: give random ones, from `openssl rand` for example"
    )]
    ShortKey(usize),
    /// Not an origin.
    #[error("`{0}` is no origin: write `https://app.example.com`, without a path")]
    InvalidOrigin(String),
}

impl Default for Settings {
    /// A random cursor key; 10 requests a second for each user, 60 at once; no origin but the host's own.
    fn default() -> Self {
        Self {
            cursor_key: rand::rng().random::<[u8; MIN_KEY]>().to_vec().into(),
            requests_per_second: 10,
            burst: 60,
            trusted_origins: Vec::new(),
            page: SettingsPage::default(),
            live: Options::default(),
        }
    }
}

impl Settings {
    /// The key that authenticates cursors: 32 random bytes or more, the same in every process that answers.
    ///
    /// Without it each process makes its own: a cursor from another process, or from before a restart, is then refused, and
    /// the client begins again at the head.
    ///
    /// # Errors
    ///
    /// [`SettingsError::ShortKey`].
    pub fn cursor_key(mut self, key: impl Into<Vec<u8>>) -> Result<Self, SettingsError> {
        let key = key.into();
        if key.len() < MIN_KEY {
            return Err(SettingsError::ShortKey(key.len()));
        }
        self.cursor_key = key.into();
        Ok(self)
    }

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
        let short = Settings::default().cursor_key(*b"secret").unwrap_err();
        assert!(short.to_string().contains("6 bytes and needs 32"));
        for wrong in ["app.example.com", "https://app.example.com/path", ""] {
            assert!(Settings::default().trust_origin(wrong).is_err(), "{wrong}");
        }
        assert!(
            Settings::default()
                .trust_origin("https://app.example.com")
                .is_ok()
        );
    }

    #[test]
    fn no_key_shows_in_debug() {
        let settings = Settings::default().cursor_key(*b"0123456789abcdef0123456789abcdef");
        let debug = format!("{:?}", settings.unwrap());
        assert!(
            !debug.contains("48, 49") && debug.contains("REDACTED"),
            "{debug}"
        );
    }
}
