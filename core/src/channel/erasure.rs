//! The **erasure key**: with it, a suppressed address can be erased and is still recognized if it is added again.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::channel::setup::SetupError;

const VARIABLE: &str = "CAMPANILE_ERASURE_KEY";

/// The minimum length of the secret in bytes: what `openssl rand -hex 16` prints.
const MIN_SECRET: usize = 32;

/// The prefix of an erased address. No mail address starts with it: it has no `@`.
const ERASED: &str = "erased:";

/// A secret of the host's under which a keyed hash of an erased address is kept, for
/// [`Builder::erasure_key`](crate::Builder::erasure_key).
///
/// Without the secret nobody can recover the address from the hash, so keep the secret outside the database. With both, addresses
/// can only be guessed and compared. After a change of the secret the existing hashes match nothing, and the addresses are
/// forgotten permanently.
///
/// ```
/// use campanile::ErasureKey;
///
/// let key = ErasureKey::new("a secret of at least thirty-two bytes")?;
/// assert_eq!(key.erased("ada@example.com"), key.erased("ada@example.com"));
/// assert!(ErasureKey::is_erased(&key.erased("ada@example.com")));
/// # Ok::<(), campanile::channel::SetupError>(())
/// ```
#[derive(Clone)]
pub struct ErasureKey(SecretString);

impl ErasureKey {
    /// A key from a secret of at least 32 bytes.
    ///
    /// # Errors
    ///
    /// When the secret is shorter: short secrets can be guessed.
    pub fn new(secret: impl Into<SecretString>) -> Result<Self, SetupError> {
        let secret = secret.into();
        let length = secret.expose_secret().len();
        if length < MIN_SECRET {
            return Err(SetupError::new(format!(
                "the erasure key has {length} bytes and needs at least {MIN_SECRET}: make one with `openssl rand -hex 32`"
            )));
        }
        Ok(Self(secret))
    }

    /// The key in the environment variable `CAMPANILE_ERASURE_KEY`, if it is set.
    ///
    /// # Errors
    ///
    /// As [`ErasureKey::new`].
    pub fn from_environment() -> Result<Option<Self>, SetupError> {
        let secret = std::env::var(VARIABLE).ok();
        let secret = secret.filter(|secret| !secret.is_empty());
        secret.map(Self::new).transpose()
    }

    /// The text that replaces an address in a table: its HMAC-SHA256 in hexadecimal digits. Pass the address in the form in which
    /// the table stores it.
    ///
    /// # Panics
    ///
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn erased(&self, address: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        // So that the same secret may also be used for another purpose.
        mac.update(b"campanile: an erased address\0");
        mac.update(address.as_bytes());
        let mut text = String::from(ERASED);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Whether this text stands for an erased address.
    #[must_use]
    pub fn is_erased(address: &str) -> bool {
        address.starts_with(ERASED) && !address.contains('@')
    }
}

/// Shows no secret.
impl fmt::Debug for ErasureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasureKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_hash_depends_on_the_address_and_the_secret_and_reveals_neither() {
        let key = ErasureKey::new(SECRET).unwrap();
        let hash = key.erased("ada@example.com");
        assert_eq!(hash.len(), ERASED.len() + 64);
        assert_ne!(hash, key.erased("bob@example.com"));
        let other = ErasureKey::new(SECRET.replace('0', "1")).unwrap();
        assert_ne!(hash, other.erased("ada@example.com"));
        assert!(!hash.contains("ada"));
        assert_eq!(format!("{key:?}"), "ErasureKey(..)");
    }

    #[test]
    fn a_short_secret_is_rejected_and_not_shown() {
        let error = ErasureKey::new("hunter2").unwrap_err().to_string();
        assert!(error.contains("openssl rand"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_mail_address_is_never_mistaken_for_an_erased_one() {
        assert!(!ErasureKey::is_erased("erased:x@example.com"));
    }
}
