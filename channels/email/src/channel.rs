//! The **channel** itself: queries the suppression list once, composes every mail, sends, and suppresses addresses that bounced.
//!
//! It returns one verdict for each delivery, independent of the others. It does not depend on a provider.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use campanile::channel::Channel;
use campanile::channel::Policy;
use campanile::channel::{Delivery, DeliveryError, Parts, Verdict};
use campanile::channel::{Setup, SetupError};

use crate::EMAIL;
use crate::bounces::{Bounces, MAX_IN_A_ROW};
use crate::compose::{Composed, Composer, Recipient, Texts, complete, recipients};
use crate::mail::Mail;
use crate::mailbox::Mailbox;
use crate::mailer::{Answer, Mailer};
use crate::settings::EmailSettings;
use crate::suppression::{Known, SuppressionError, SuppressionKind, Suppressions};
use crate::warned::Warned;

/// How long the suppression list may take; with the eight seconds of a mailer it stays within the attempt's ten.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);

/// Builds the channel, once, at start-up.
pub(crate) fn build(setup: &Setup<'_>) -> Result<Arc<dyn Channel>, SetupError> {
    let settings = EmailSettings::of(setup)?;
    let (from, reply_to) = settings.mailboxes()?;
    Ok(Arc::new(Email {
        composer: Composer { from, reply_to },
        mailer: settings.mailer,
        suppressions: Suppressions::new(setup.database().clone())
            .with_erasure_key(setup.erasure_key().cloned()),
        bounces: Bounces::default(),
        warned: Warned::default(),
    }))
}

struct Email {
    composer: Composer,
    mailer: Arc<dyn Mailer>,
    suppressions: Suppressions,
    bounces: Bounces,
    warned: Warned,
}

#[async_trait]
impl Channel for Email {
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
        let (recipients, mut verdicts) = recipients(batch);
        let known = match self.known(&recipients).await {
            Ok(known) => known,
            Err(verdict) => {
                verdicts.extend(recipients.iter().map(|one| (one.index, verdict.clone())));
                return in_order(verdicts, batch.len());
            }
        };
        let mut mails = Vec::with_capacity(recipients.len());
        let mut texts = Texts::new();
        for Recipient { index, mailboxes } in recipients {
            let is_open = |mailbox: &Mailbox| {
                let address = mailbox.comparable();
                let is_open = !known.suppressed.contains(&address);
                if !is_open {
                    self.warn_once(&address, &batch[index]);
                }
                is_open
            };
            match mailboxes.into_iter().find(is_open) {
                Some(to) => {
                    let mail = self.composer.mail(&batch[index], to, &mut texts);
                    mails.push(Composed { index, mail });
                }
                None => {
                    verdicts.insert(index, Verdict::SuppressedAddress);
                }
            }
        }
        verdicts.extend(self.send(batch, mails, &known.suspects).await);
        in_order(verdicts, batch.len())
    }

    fn max_batch(&self) -> usize {
        self.mailer.capabilities().max_batch.max(1)
    }

    fn policy(&self) -> Policy {
        self.mailer.capabilities().policy
    }

    fn complete(&self, parts: &Parts) -> Parts {
        complete(parts)
    }
}

impl Email {
    /// Looks these recipients up on the suppression list, right before sending. If the list does not answer, nothing is sent.
    async fn known(&self, recipients: &[Recipient]) -> Result<Known, Verdict> {
        if recipients.is_empty() {
            return Ok(Known::default());
        }
        let mailboxes = recipients.iter().flat_map(|recipient| &recipient.mailboxes);
        let mut addresses: Vec<String> = mailboxes.map(Mailbox::comparable).collect();
        addresses.sort_unstable();
        addresses.dedup();
        match tokio::time::timeout(LIST_TIMEOUT, self.suppressions.known(&addresses)).await {
            Ok(Ok(known)) => Ok(known),
            Ok(Err(error)) => Err(Verdict::retry(format!(
                "the suppression list did not answer: {error}"
            ))),
            Err(_) => Err(Verdict::retry(
                "the suppression list did not answer in time",
            )),
        }
    }

    /// Logs once for each address that it is suppressed, because the recipient may be waiting for the mail.
    fn warn_once(&self, address: &str, delivery: &Delivery) {
        if self.warned.is_new(address) {
            tracing::warn!(
                target: "campanile",
                channel = EMAIL.name(),
                delivery_id = %delivery.id,
                "an address of the recipient is on the suppression list: this mail and later ones do not go there"
            );
        }
    }

    async fn send(
        &self,
        batch: &[Delivery],
        composed: Vec<Composed>,
        suspects: &HashSet<String>,
    ) -> Vec<(usize, Verdict)> {
        let (indexes, mails): (Vec<_>, Vec<_>) = composed
            .into_iter()
            .map(|composed| (composed.index, composed.mail))
            .unzip();
        let mut verdicts = Vec::with_capacity(mails.len());
        for (indexes, mails) in indexes
            .chunks(self.max_batch())
            .zip(mails.chunks(self.max_batch()))
        {
            let answers = self.mailer.send(mails).await;
            if answers.len() == mails.len() {
                let deliveries = indexes.iter().map(|index| &batch[*index]);
                let asked: Vec<_> = deliveries.zip(mails).collect();
                let (judged, lessons) = self.judge(&asked, answers, suspects);
                self.learn(lessons).await;
                verdicts.extend(indexes.iter().copied().zip(judged));
            } else {
                let miscounted = Verdict::unknown(format!(
                    "the mailer returned {} answers for {} mails",
                    answers.len(),
                    mails.len()
                ));
                verdicts.extend(indexes.iter().map(|index| (*index, miscounted.clone())));
            }
        }
        verdicts
    }

    /// The verdicts on mails to these users, and the changes to the suppression list. If every address was rejected, the sender
    /// is at fault and no address is suppressed.
    fn judge(
        &self,
        asked: &[(&Delivery, &Mail)],
        answers: Vec<Answer>,
        suspects: &HashSet<String>,
    ) -> (Vec<Verdict>, Lessons) {
        let mut lessons = Lessons::default();
        let mut verdicts = Vec::with_capacity(asked.len());
        for ((delivery, mail), answer) in asked.iter().zip(answers) {
            let address = mail.to.comparable();
            let (error, blamed) = match answer {
                Answer::Judged(verdict) => {
                    if matches!(verdict, Verdict::Accepted { .. }) {
                        self.bounces.accepted();
                        if suspects.contains(&address) {
                            lessons.acquitted.push(address);
                        }
                    }
                    verdicts.push(verdict);
                    continue;
                }
                Answer::Bounced(error) => (error, &mut lessons.bounced),
                Answer::Suspected(error) => (error, &mut lessons.suspected),
            };
            match self.bounces.bounced(&address) {
                None => {
                    blamed.push(Blamed {
                        user: delivery.user_id.clone(),
                        address,
                        reason: delivery.without_secrets(&format!("bounced: {error}")),
                    });
                    verdicts.push(Verdict::permanent(error));
                }
                Some(row) => {
                    verdicts.push(Verdict::misconfigured(everybody_is_refused(&error)));
                    lessons.not_to_blame = row;
                }
            }
        }
        (verdicts, lessons)
    }

    /// Stores the changes. A failure is only logged: the next bounce makes the same change.
    async fn learn(&self, lessons: Lessons) {
        if lessons.is_empty() {
            return;
        }
        let failure = match tokio::time::timeout(LIST_TIMEOUT / 2, self.write_down(lessons)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => DeliveryError::new(error.to_string()),
            Err(_) => DeliveryError::new("the suppression list did not answer in time"),
        };
        tracing::warn!(
            target: "campanile",
            channel = EMAIL.name(),
            error = %failure,
            "the suppression list was not written: an address that bounced is mailed once more"
        );
    }

    async fn write_down(&self, lessons: Lessons) -> Result<(), SuppressionError> {
        let list = &self.suppressions;
        let is_to_blame = |entry: &&Blamed| !lessons.not_to_blame.contains(&entry.address);
        for entry in lessons.bounced.iter().filter(is_to_blame) {
            let (address, reason) = (&entry.address, &entry.reason);
            list.add_of(&entry.user, SuppressionKind::Bounce, address, reason)
                .await?;
        }
        for entry in lessons.suspected.iter().filter(is_to_blame) {
            list.suspect(&entry.user, &entry.address, &entry.reason)
                .await?;
        }
        if !lessons.acquitted.is_empty() {
            list.acquit(&lessons.acquitted).await?;
        }
        // Checked last: another call may have reached the limit while this one was being stored.
        match self.bounces.not_to_blame() {
            Some(row) => Ok(list.rehabilitate(&row).await?),
            None => Ok(()),
        }
    }
}

/// An address in its comparable form, its user, and the reason.
#[derive(Debug)]
struct Blamed {
    user: String,
    address: String,
    reason: String,
}

/// The changes to the suppression list after a call.
#[derive(Debug, Default)]
struct Lessons {
    bounced: Vec<Blamed>,
    suspected: Vec<Blamed>,
    /// Suspected addresses for which a mail was accepted.
    acquitted: Vec<String>,
    /// Addresses that bounced only because every address bounced.
    not_to_blame: Vec<String>,
}

impl Lessons {
    const fn is_empty(&self) -> bool {
        self.bounced.is_empty()
            && self.suspected.is_empty()
            && self.acquitted.is_empty()
            && self.not_to_blame.is_empty()
    }
}

fn everybody_is_refused(error: &DeliveryError) -> DeliveryError {
    let text = format!(
        "the last {MAX_IN_A_ROW} addresses were all refused, which indicates a fault of the sender: {error}"
    );
    match error.status() {
        Some(status) => DeliveryError::new(text).with_status(status),
        None => DeliveryError::new(text),
    }
}

/// One verdict for each delivery, in the order of the batch.
fn in_order(mut verdicts: HashMap<usize, Verdict>, deliveries: usize) -> Vec<Verdict> {
    (0..deliveries)
        .map(|index| {
            verdicts
                .remove(&index)
                .expect("every delivery of the batch has a verdict")
        })
        .collect()
}
