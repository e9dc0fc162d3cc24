//! The mailer for any **SMTP** server.
//!
//! It keeps a few sessions open and sends one mail at a time. SMTP has no idempotency keys: a mail whose acknowledgement was lost
//! is sent again, with the same bytes and the same `Message-ID`.

mod server;
mod session;
mod reply;
mod verdict;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use campanile::channel::Policy;
use campanile::channel::SetupError;
use campanile::channel::Verdict;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use self::server::Server;
use self::session::{Session, Timeouts};
use self::verdict::{Failure, Step, judge};
use crate::mail::Mail;
use crate::mailer::{Answer, Capabilities, Mailer};
use crate::mime;

/// The maximum number of open sessions.
const MAX_SESSIONS: usize = 8;

/// A session that was idle for longer is closed: servers hang up on idle clients.
const IDLE: Duration = Duration::from_secs(30);

/// How long each step before the message may take: shorter than RFC 5321 (section 4.5.3.2) recommends, because these steps can
/// safely be retried.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the server may take to reply to the message. A server that scans it may need a minute, and a client that disconnects
/// before the reply does not know whether the mail was sent: RFC 5321, section 4.5.3.2.6, recommends ten minutes.
const REPLY_TIMEOUT: Duration = Duration::from_mins(5);

/// The steps before the message: waiting for a session, connecting, encrypting, logging in, sender, recipient, data.
const STEPS: u32 = 7;

/// The time that a call needs besides the conversation: the suppression list is read and written.
const SLACK: Duration = Duration::from_secs(5);

const URL: &str = "CAMPANILE_SMTP_URL";

/// Sends over an SMTP server.
///
/// | URL | connection | port |
/// |---|---|---|
/// | `smtps://user:password@host` | TLS from the first byte on | 465 |
/// | `smtp://user:password@host` | STARTTLS, required | 587 |
/// | `smtp://localhost:1025` | unencrypted, to this machine only | 587 |
///
/// User and password are percent-encoded in the URL; the password never appears in a log, an error or `Debug`. At most eight
/// sessions are open at once. Each step of a conversation has a timeout: 20 seconds, and 5 minutes for the reply to the message,
/// because a mail whose acknowledgement was lost is sent again.
///
/// lettre's own feature `tracing`, which this crate leaves off, logs whole SMTP conversations.
///
/// ```
/// use campanile_email::{EmailSettings, Smtp};
///
/// # fn main() -> Result<(), campanile::channel::SetupError> {
/// let settings = EmailSettings::new("no-reply@acme.example", Smtp::new("smtp://localhost:1025")?);
/// # let _ = settings;
/// # Ok(())
/// # }
/// ```
pub struct Smtp {
    server: Server,
    timeouts: Timeouts,
    places: Semaphore,
    idle: Mutex<Vec<(Session, Instant)>>,
}

impl Smtp {
    /// The server at this URL. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the URL is not of one of the forms above. The message does not repeat it.
    pub fn new(url: impl Into<SecretString>) -> Result<Self, SetupError> {
        Ok(Self {
            server: Server::parse(&url.into())?,
            timeouts: Timeouts {
                step: STEP_TIMEOUT,
                reply: REPLY_TIMEOUT,
            },
            places: Semaphore::new(MAX_SESSIONS),
            idle: Mutex::default(),
        })
    }

    /// How long each step before the message may take: connecting, encrypting, logging in, each command. Default: 20 seconds.
    #[must_use]
    pub fn with_step_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.step = timeout;
        self
    }

    /// How long the server may take to reply to the message. Default: 5 minutes.
    ///
    /// A slower server gets the mail again, up to [`Policy::max_lost_answers`] times, although it has accepted it.
    #[must_use]
    pub fn with_reply_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.reply = timeout;
        self
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

    /// Sends one mail; `step` records how far it got.
    async fn hand_over(
        &self,
        mail: &Mail,
        message: &[u8],
        step: &mut Step,
    ) -> Result<String, Failure> {
        let place = tokio::time::timeout(self.timeouts.step, self.places.acquire());
        let _place = place
            .await
            .map_err(|_| Failure::TimedOut)?
            .expect("the semaphore is never closed");
        let mut session = self.session(step).await?;
        let (secret, timeouts) = (self.server.secret(), self.timeouts);
        let receipt = session.send(mail, message, secret, timeouts, step).await;
        // After a rejection the session can be reused; after a broken connection it cannot.
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
        Session::open(&self.server, self.timeouts, step).await
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
        match self.hand_over(mail, &message, &mut step).await {
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
        let timeout = self.timeouts.step * STEPS + self.timeouts.reply + SLACK;
        let policy = Policy::new()
            .concurrency(MAX_SESSIONS)
            .attempt_timeout(timeout);
        Capabilities::new(policy)
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// The verdict on a rejection at each step, for the guarantees about external input.
#[cfg(any(test, fuzzing))]
pub(crate) fn judge_refusal(code: u16, words: &str, secret: &str) -> [(&'static str, Answer); 7] {
    let refusal = session::refusal(code, words, secret);
    [
        ("queue", Step::Queue),
        ("connect", Step::Connect),
        ("login", Step::Login),
        ("sender", Step::Sender),
        ("recipient", Step::Recipient),
        ("data", Step::Data),
        ("message", Step::Message),
    ]
    .map(|(name, step)| (name, judge(step, &refusal)))
}
