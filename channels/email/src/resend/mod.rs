//! The mailer for **Resend**'s HTTP API.
//!
//! It knows which mails may share a request and what an answer means for each. It keeps no mail.
//!
//! # Batches and repeated mails
//!
//! The API remembers an `Idempotency-Key` for 24 hours: the same key with the same body is answered from memory and sends
//! nothing. A mail that goes alone has its delivery's own key, so however often it is tried, it is sent once. A batch needs
//! a key of its own, made of its members' keys, and a later batch would have other members and another key. Therefore:
//!
//! * A mail goes in a batch on its first attempt, and again only while this process knows that the provider refused it.
//! * When a batch's answer is lost, the same request is made once more, at once, if there is time: now its members are
//!   still together.
//! * If that answer is lost too, or the process ends before the verdict is recorded, each mail comes again **alone**.
//!
//! The bound: a mail goes out twice at the most, and only if the provider took a batch whose answer never arrived. A refusal
//! is taken at its word: 429, 500 and 503 mean that nothing was sent, while a gateway's 502 and 504 count as lost.

mod client;
mod refused;
mod request;
mod retry_after;
mod verdict;

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use campanile::delivery::Verdict;
use campanile::setup::SetupError;
use secrecy::SecretString;

use self::client::Client;
use self::refused::Refused;
use self::request::{MOST_MAILS, Request, group};
use self::verdict::{Outcome, judge};
use crate::mail::Mail;
use crate::mailer::{Answer, Mailer};

/// How long one call may take, over all its requests.
const TIMEOUT: Duration = Duration::from_secs(8);

/// A request that has less time left is not begun.
const LEAST_TIME: Duration = Duration::from_millis(500);

const API: &str = "https://api.resend.com";
const API_KEY: &str = "CAMPANILE_RESEND_API_KEY";
const API_URL: &str = "CAMPANILE_RESEND_URL";

/// Sends over Resend's API: one request for up to 100 mails, with idempotency keys.
///
/// A mail goes in a batch on its first attempt and alone, under its own key, once a batch's answer was lost; so it goes
/// out twice at the most, and only if the provider took a batch whose answer never arrived.
///
/// The key gets into no log, error or `Debug`. Redirects are not followed, proxy variables are not read. A call takes at
/// most 8 seconds.
///
/// ```
/// use campanile_email::{EmailSettings, Resend};
///
/// # fn main() -> Result<(), campanile::setup::SetupError> {
/// let settings = EmailSettings::new("Acme <no-reply@acme.example>", Resend::new("re_..")?);
/// # let _ = settings;
/// # Ok(())
/// # }
/// ```
pub struct Resend {
    client: Client,
    timeout: Duration,
    refused: Refused,
}

impl Resend {
    /// Resend's API with this key.
    ///
    /// # Errors
    ///
    /// When the key cannot stand in a header, or there are no TLS certificates on this machine.
    pub fn new(api_key: impl Into<SecretString>) -> Result<Self, SetupError> {
        Self::at(API, api_key)
    }

    /// The API at another address: a proxy of your own, or a stand-in on this machine.
    ///
    /// # Errors
    ///
    /// As [`new`](Resend::new), and when the URL is not `https`, nor `http` to this machine.
    pub fn at(url: &str, api_key: impl Into<SecretString>) -> Result<Self, SetupError> {
        Ok(Self {
            client: Client::new(url, api_key.into())?,
            timeout: TIMEOUT,
            refused: Refused::default(),
        })
    }

    /// How long one call may take: 8 seconds unless said otherwise. The dispatcher's own limit on an attempt must be longer.
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

    /// One request for one or more mails, made twice if the answer to a batch is lost.
    async fn request(&self, mails: &[&Mail], deadline: Instant) -> Outcome {
        let request = Request::of(mails);
        let first = self.ask(&request, mails.len(), deadline).await;
        if !matches!(first, Outcome::Lost(_)) || left(deadline) < LEAST_TIME {
            return first;
        }
        match self.ask(&request, mails.len(), deadline).await {
            Outcome::Each(verdicts) => Outcome::Each(verdicts),
            // Whatever it says now, the first request may have been taken.
            _ => first,
        }
    }

    async fn ask(&self, request: &Request, mails: usize, deadline: Instant) -> Outcome {
        let reply = self.client.ask(request, left(deadline)).await;
        judge(&reply, mails, |text| self.client.redact(text))
    }
}

#[async_trait]
impl Mailer for Resend {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        let deadline = Instant::now() + self.timeout;
        let together: Vec<bool> = mails
            .iter()
            .map(|mail| mail.attempt == 1 || self.refused.take(&mail.idempotency_key))
            .collect();
        let mut verdicts = vec![Verdict::retry("not begun: the time was up"); mails.len()];
        // What one request learned, a rate limit or a bad key, the next ones need not ask again.
        let mut learned = None;
        for members in group(mails, &together) {
            let group: Vec<&Mail> = members.iter().map(|index| &mails[*index]).collect();
            let outcome = match learned.take() {
                Some(verdict) => Outcome::NoneTaken(verdict),
                None if left(deadline) < LEAST_TIME => {
                    Outcome::NoneTaken(verdicts[members[0]].clone())
                }
                None => self.request(&group, deadline).await,
            };
            match outcome {
                Outcome::Each(each) => {
                    for (index, verdict) in members.into_iter().zip(each) {
                        verdicts[index] = verdict;
                    }
                }
                Outcome::NoneTaken(verdict) => {
                    for index in members {
                        if together[index] {
                            self.refused.remember(&mails[index].idempotency_key);
                        }
                        verdicts[index] = verdict.clone();
                    }
                    learned = Some(verdict);
                }
                Outcome::Refused(verdict) | Outcome::Lost(verdict) => {
                    for index in members {
                        verdicts[index] = verdict.clone();
                    }
                }
            }
        }
        verdicts.into_iter().map(Answer::from).collect()
    }

    fn max_batch(&self) -> usize {
        MOST_MAILS
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
