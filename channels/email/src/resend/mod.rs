//! The mailer for **Resend**'s HTTP API.
//!
//! It decides which mails share a request and what an answer means for each. It stores no mail.
//!
//! # Batches and retries
//!
//! The API remembers an `Idempotency-Key` for 24 hours: a request with the same key and the same body is answered from memory and
//! sends nothing, and one with another body is rejected. A single mail has its delivery's own key; a batch has the key that the
//! dispatcher stored with its members before it was sent. So however often a mail is tried, from whichever process, it is sent
//! once.
//!
//! * A retried batch does not contain recipients who have opted out meanwhile. If the provider never accepted the batch, the rest
//!   is sent now; if it did, it rejects the changed body, and all of them correctly end as unknown.
//! * The mails of a batch that is rejected as a whole are retried one by one, so that each shows whether it was the cause.
//!
//! 429, 500 and 503 mean that nothing was sent; a gateway's 502 and 504 count as lost answers.

mod client;
mod request;
pub(crate) mod retry_after;
mod verdict;

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use campanile::channel::Policy;
use campanile::channel::SetupError;
use campanile::channel::Verdict;
use secrecy::SecretString;

use self::client::Client;
use self::request::{MAX_BYTES, MAX_MAILS, Members, Request, group};
use self::verdict::{Outcome, judge};
use crate::mail::Mail;
use crate::mailer::{Answer, Capabilities, Mailer};

/// How long one call may take, over all its requests.
const TIMEOUT: Duration = Duration::from_secs(8);

/// A request that has less time left is not started.
const MIN_TIME: Duration = Duration::from_millis(500);

/// How long the API remembers a key (<https://resend.com/docs/dashboard/emails/idempotency-keys>).
const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// How many requests a team may make per second by default (<https://resend.com/docs/api-reference/rate-limit>).
const CALLS_PER_SECOND: u32 = 2;

const API: &str = "https://api.resend.com";
const API_KEY: &str = "CAMPANILE_RESEND_API_KEY";
const API_URL: &str = "CAMPANILE_RESEND_URL";

/// Sends over Resend's API: one request for up to 100 mails, with idempotency keys.
///
/// A mail that may have been sent is retried under its key, alone or with its batch: the API recognizes the key, and nobody is
/// mailed twice.
///
/// The key never appears in a log, an error or `Debug`. Redirects are not followed, proxy variables are not read. A call takes at
/// most 8 seconds.
///
/// ```
/// use campanile_email::{EmailSettings, Resend};
///
/// # fn main() -> Result<(), campanile::channel::SetupError> {
/// let settings = EmailSettings::new("Acme <no-reply@acme.example>", Resend::new("re_..")?);
/// # let _ = settings;
/// # Ok(())
/// # }
/// ```
pub struct Resend {
    client: Client,
    timeout: Duration,
}

impl Resend {
    /// Resend's API with this key.
    ///
    /// # Errors
    ///
    /// When the key is not valid in a header, or there are no TLS certificates on this machine.
    pub fn new(api_key: impl Into<SecretString>) -> Result<Self, SetupError> {
        Self::at(API, api_key)
    }

    /// The API at another address: your own proxy, or a mock server on this machine.
    ///
    /// # Errors
    ///
    /// As [`new`](Resend::new), and when the URL is not `https`, nor `http` to this machine.
    pub fn at(url: &str, api_key: impl Into<SecretString>) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client::new(url, api_key.into())?,
            timeout: TIMEOUT,
        })
    }

    /// How long one call may take. Default: 8 seconds. The dispatcher's own limit on an attempt must be longer.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub(crate) fn from_variables(
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        let Some(key) = variable(API_KEY) else {
            return Err(SetupError::missing(
                "the Resend API key",
                ".with(EmailSettings::new(.., Resend::new(key)?))",
                API_KEY,
            ));
        };
        match variable(API_URL) {
            Some(url) => Self::at(&url, key),
            None => Self::new(key),
        }
    }

    async fn ask(&self, members: &Members, mails: &[Mail], deadline: Instant) -> Outcome {
        let request = Request::of(members, mails);
        let reply = self.client.ask(&request, left(deadline)).await;
        let redact = |text: &str| self.client.redact(text);
        judge(&reply, members.form, members.mails.len(), redact)
    }
}

#[async_trait]
impl Mailer for Resend {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        let deadline = Instant::now() + self.timeout;
        let mut verdicts = vec![Verdict::retry("not started: no time was left"); mails.len()];
        let mut requests = group(mails);
        while let Some(members) = requests.pop_front() {
            if left(deadline) < MIN_TIME {
                break;
            }
            match self.ask(&members, mails, deadline).await {
                Outcome::Each(each) => {
                    for (index, verdict) in members.mails.into_iter().zip(each) {
                        verdicts[index] = verdict;
                    }
                }
                // After a rate limit or a bad key, the next requests would get the same answer.
                Outcome::NoneTaken(verdict) => {
                    let rest = requests.drain(..).flat_map(|request| request.mails);
                    for index in members.mails.into_iter().chain(rest) {
                        verdicts[index] = verdict.clone();
                    }
                }
                Outcome::Refused(verdict) | Outcome::Lost(verdict) => {
                    for index in members.mails {
                        verdicts[index] = verdict.clone();
                    }
                }
            }
        }
        verdicts.into_iter().map(Answer::from).collect()
    }

    fn capabilities(&self) -> Capabilities {
        let policy = Policy::new()
            .key_lifetime(KEY_LIFETIME)
            .calls_per_second(CALLS_PER_SECOND)
            .batch_bytes(MAX_BYTES);
        Capabilities::new(policy).with_max_batch(MAX_MAILS)
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

impl fmt::Debug for Resend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resend")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
