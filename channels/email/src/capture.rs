//! The mailer for development and tests: it **captures** mails instead of sending them.
//!
//! It opens no connection, and its memory use is bounded.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use campanile::channel::SetupError;
use campanile::channel::Verdict;

use crate::mail::Mail;
use crate::mailer::{Answer, Capabilities, Mailer};
use crate::mime;

/// How many mails are kept in memory.
const MAX_MAILS: usize = 1_000;

/// How many bytes of content are kept in memory.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Keeps mails in memory and, if a folder is given, writes each one there as an `.eml` file. Clones share their memory.
///
/// The last 1,000 mails are kept, up to 64 MiB of content; files are never deleted.
///
/// ```
/// use campanile_email::{Capture, EmailSettings};
///
/// let capture = Capture::in_memory();
/// let settings = EmailSettings::new("Acme <no-reply@example.com>", capture.clone());
/// // .. a dispatch later:
/// assert!(capture.mails().is_empty());
/// # let _ = settings;
/// ```
#[derive(Clone, Default)]
pub struct Capture {
    kept: Arc<Mutex<Kept>>,
    folder: Option<PathBuf>,
}

/// A captured mail.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CapturedMail {
    /// The mail.
    pub mail: Mail,
    /// When it was captured.
    pub captured_at: SystemTime,
    /// Its file, if mails are written to a folder.
    pub file: Option<PathBuf>,
}

#[derive(Default)]
struct Kept {
    mails: VecDeque<CapturedMail>,
    bytes: usize,
}

impl Capture {
    /// Keeps mails in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Keeps mails in memory and writes each to `{folder}/{idempotency key}.eml`, which any mail program opens. Sorted by
    /// name, the files are in the order of dispatch.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Result<Self, SetupError> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).map_err(|error| {
            SetupError::new(format!(
                "the folder for captured mail `{}` cannot be created: {error}",
                folder.display()
            ))
        })?;
        Ok(Self {
            kept: Arc::default(),
            folder: Some(folder),
        })
    }

    /// The captured mails, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<CapturedMail> {
        self.lock().mails.iter().cloned().collect()
    }

    /// Removes the mails from memory; files stay.
    pub fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capture(&self, mail: &Mail) -> Answer {
        let file = match &self.folder {
            None => None,
            Some(folder) => match write(folder, mail) {
                Ok(file) => Some(file),
                Err(verdict) => return verdict.into(),
            },
        };
        self.lock().push(CapturedMail {
            mail: mail.clone(),
            captured_at: SystemTime::now(),
            file,
        });
        Verdict::accepted().into()
    }
}

impl Kept {
    fn push(&mut self, mail: CapturedMail) {
        self.bytes += mail.mail.size();
        self.mails.push_back(mail);
        while self.mails.len() > MAX_MAILS || (self.bytes > MAX_BYTES && self.mails.len() > 1) {
            if let Some(oldest) = self.mails.pop_front() {
                self.bytes -= oldest.mail.size();
            }
        }
    }
}

/// Writes on the thread of the call, which may block; no other thread may be free.
fn write(folder: &Path, mail: &Mail) -> Result<PathBuf, Verdict> {
    let bytes = mime::bytes(mail).map_err(Verdict::permanent)?;
    let file = folder.join(format!("{}.eml", mime::token(&mail.idempotency_key)));
    match std::fs::write(&file, bytes) {
        Ok(()) => Ok(file),
        Err(error) => Err(Verdict::retry(format!(
            "the captured mail was not written: {}",
            error.kind()
        ))),
    }
}

#[async_trait]
impl Mailer for Capture {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        mails.iter().map(|mail| self.capture(mail)).collect()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().with_max_batch(100)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("mails", &self.lock().mails.len())
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
