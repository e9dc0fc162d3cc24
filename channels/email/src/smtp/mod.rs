//! The mailer for any **SMTP** server.
//!
//! It keeps a few sessions open and hands over one mail at a time. SMTP has no idempotency keys: a mail whose receipt was
//! lost goes out again, with the same bytes and the same `Message-ID`.

mod server;
mod session;
mod reply;
mod verdict;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use campanile::delivery::Verdict;
use campanile::policy::Policy;
use campanile::setup::SetupError;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use self::server::Server;
use self::session::Session;
use self::verdict::{Failure, Step, judge};
use crate::mail::Mail;
use crate::mailer::{Answer, Capabilities, Mailer};
use crate::mime;

/// How many sessions are open at once.
const MOST_SESSIONS: usize = 8;

/// A session that was idle for longer is closed: servers hang up on idle clients.
const IDLE: Duration = Duration::from_secs(30);

/// How long one mail may take, from the wait for a session to the receipt.
const TIMEOUT: Duration = Duration::from_secs(8);

const URL: &str = "CAMPANILE_SMTP_URL";

/// Sends over an SMTP server.
///
/// | URL | connection | port |
/// |---|---|---|
/// | `smtps://user:password@host` | TLS from the first byte on | 465 |
/// | `smtp://user:password@host` | STARTTLS, required | 587 |
/// | `smtp://localhost:1025` | unencrypted, to this machine only | 587 |
///
/// User and password are percent-encoded in the URL; the password gets into no log, error or `Debug`. At most eight
/// sessions are open at once. One mail takes at most 8 seconds.
///
/// lettre's own feature `tracing`, which this crate leaves off, logs whole SMTP conversations.
///
/// ```
/// use campanile_email::{EmailSettings, Smtp};
///
/// # fn main() -> Result<(), campanile::setup::SetupError> {
/// let settings = EmailSettings::new("no-reply@acme.example", Smtp::new("smtp://localhost:1025")?);
/// # let _ = settings;
/// # Ok(())
/// # }
/// ```
pub struct Smtp {
    server: Server,
    timeout: Duration,
    places: Semaphore,
    idle: Mutex<Vec<(Session, Instant)>>,
}

impl Smtp {
    /// The server of this URL. Nothing is connected to yet.
    ///
    /// # Errors
    ///
    /// When the URL is not of one of the forms above. The message does not repeat it.
    pub fn new(url: impl Into<SecretString>) -> Result<Self, SetupError> {
        Ok(Self {
            server: Server::parse(&url.into())?,
            timeout: TIMEOUT,
            places: Semaphore::new(MOST_SESSIONS),
            idle: Mutex::default(),
        })
    }

    /// How long one mail may take: 8 seconds unless said otherwise. The dispatcher's own limit on an attempt must be longer.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub(crate) fn from_variables(
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        match variable(URL) {
            Some(url) => Self::new(url),
            None => Err(SetupError::missing(
                "the SMTP server",
                ".with(EmailSettings::new(.., Smtp::new(url)?))",
                URL,
            )),
        }
    }

    /// Hands over one mail; `step` says how far it got, even if the future is dropped.
    async fn hand_over(
        &self,
        mail: &Mail,
        message: &[u8],
        step: &mut Step,
    ) -> Result<String, Failure> {
        let _place = self.places.acquire().await.expect("it is never closed");
        let mut session = self.session(step).await?;
        let receipt = session
            .send(mail, message, self.server.secret(), step)
            .await;
        // After a refusal the session is as good as before; when the connection broke it is not.
        if matches!(
            &receipt,
            Ok(_)
                | Err(Failure::Reply {
                    code: 450..=599,
                    ..
                } | Failure::Unsupported(_))
        ) {
            self.lock().push((session, Instant::now()));
        }
        receipt
    }

    async fn session(&self, step: &mut Step) -> Result<Session, Failure> {
        *step = Step::Connect;
        while let Some((mut session, since)) = self.take() {
            if since.elapsed() < IDLE && session.is_ready().await {
                return Ok(session);
            }
        }
        Session::open(&self.server, step).await
    }

    fn take(&self) -> Option<(Session, Instant)> {
        self.lock().pop()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Session, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_one(&self, mail: &Mail) -> Answer {
        let message = match mime::bytes(mail) {
            Ok(message) => message,
            Err(error) => return Verdict::permanent(error).into(),
        };
        let mut step = Step::Queue;
        let handed_over = self.hand_over(mail, &message, &mut step);
        let outcome = match tokio::time::timeout(self.timeout, handed_over).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::TimedOut),
        };
        match outcome {
            Ok(receipt) => Verdict::Accepted {
                provider_id: Some(receipt),
            }
            .into(),
            Err(failure) => judge(step, &failure),
        }
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(mails.len());
        for mail in mails {
            answers.push(self.send_one(mail).await);
        }
        answers
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Policy::new().concurrency(MOST_SESSIONS))
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
