//! The **channel** itself: compose every mail, ask the suppression list once, send, and suppress what bounced.
//!
//! It gives one verdict for each delivery, whatever happens to its neighbours. It knows no provider.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use campanile::channel::Channel;
use campanile::delivery::{Delivery, DeliveryError, Verdict};
use campanile::policy::Policy;
use campanile::setup::{Setup, SetupError};

use crate::EMAIL;
use crate::compose::{Composed, Composer};
use crate::mail::Mail;
use crate::mailer::{Answer, Mailer};
use crate::settings::EmailSettings;
use crate::suppression::{SuppressionError, Suppressions};

/// How long the suppression list may take; with the eight seconds of a mailer it stays within the attempt's ten.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);

/// Builds the channel, once, at start-up.
pub(crate) fn build(setup: &Setup<'_>) -> Result<Arc<dyn Channel>, SetupError> {
    let settings = EmailSettings::of(setup)?;
    let (from, reply_to) = settings.mailboxes()?;
    Ok(Arc::new(Email {
        composer: Composer { from, reply_to },
        mailer: settings.mailer,
        suppressions: Suppressions::new(setup.database().clone()),
    }))
}

struct Email {
    composer: Composer,
    mailer: Arc<dyn Mailer>,
    suppressions: Suppressions,
}

#[async_trait]
impl Channel for Email {
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
        let (composer, given) = (self.composer.clone(), batch.to_vec());
        // Deriving text from a large document takes its time: not on a thread that others wait for.
        let composing = tokio::task::spawn_blocking(move || composer.compose(&given));
        let Ok((mails, mut verdicts)) = composing.await else {
            return vec![Verdict::retry("the mails were not composed"); batch.len()];
        };
        let suppressed = match self.suppressed(&mails).await {
            Ok(suppressed) => suppressed,
            Err(verdict) => {
                verdicts.extend(mails.iter().map(|its| (its.index, verdict.clone())));
                return in_order(verdicts, batch.len());
            }
        };
        let (suppressed, sendable): (Vec<_>, Vec<_>) = mails
            .into_iter()
            .partition(|its| suppressed.contains(&its.mail.to.comparable()));
        verdicts.extend(
            suppressed
                .iter()
                .map(|its| (its.index, Verdict::SuppressedAddress)),
        );
        verdicts.extend(self.send(sendable).await);
        in_order(verdicts, batch.len())
    }

    fn max_batch(&self) -> usize {
        self.mailer.max_batch().max(1)
    }

    fn policy(&self) -> Policy {
        self.mailer.policy()
    }
}

impl Email {
    /// The suppressed ones among these addresses: the last question before the wire. Without an answer nothing is sent.
    async fn suppressed(&self, mails: &[Composed]) -> Result<HashSet<String>, Verdict> {
        if mails.is_empty() {
            return Ok(HashSet::new());
        }
        let mut addresses: Vec<String> = mails.iter().map(|its| its.mail.to.comparable()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        match tokio::time::timeout(LIST_TIMEOUT, self.suppressions.among(&addresses)).await {
            Ok(Ok(suppressed)) => Ok(suppressed),
            Ok(Err(error)) => Err(Verdict::retry(format!(
                "the suppression list did not answer: {error}"
            ))),
            Err(_) => Err(Verdict::retry(
                "the suppression list did not answer in time",
            )),
        }
    }

    async fn send(&self, composed: Vec<Composed>) -> Vec<(usize, Verdict)> {
        let (indexes, mails): (Vec<_>, Vec<_>) = composed
            .into_iter()
            .map(|its| (its.index, its.mail))
            .unzip();
        let mut verdicts = Vec::with_capacity(mails.len());
        for (indexes, mails) in indexes
            .chunks(self.max_batch())
            .zip(mails.chunks(self.max_batch()))
        {
            let answers = self.mailer.send(mails).await;
            if answers.len() == mails.len() {
                self.suppress(mails, &answers).await;
                verdicts.extend(
                    indexes
                        .iter()
                        .copied()
                        .zip(answers.iter().map(Answer::verdict)),
                );
            } else {
                let miscounted = Verdict::unknown(format!(
                    "the mailer gave {} answers for {} mails",
                    answers.len(),
                    mails.len()
                ));
                verdicts.extend(indexes.iter().map(|index| (*index, miscounted.clone())));
            }
        }
        verdicts
    }

    /// Puts the addresses that bounced on the list. A failure is logged: the next mail bounces again.
    async fn suppress(&self, mails: &[Mail], answers: &[Answer]) {
        let bounced = mails
            .iter()
            .zip(answers)
            .filter_map(|(mail, answer)| match answer {
                Answer::Bounced(error) => Some((mail, error)),
                Answer::Judged(_) => None,
            });
        let bounced: Vec<_> = bounced.collect();
        if bounced.is_empty() {
            return;
        }
        let adding = async {
            for (mail, error) in bounced {
                let reason = format!("bounced: {error}");
                self.suppressions.add(mail.to.address(), &reason).await?;
            }
            Ok::<(), SuppressionError>(())
        };
        let failure = match tokio::time::timeout(LIST_TIMEOUT / 2, adding).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => DeliveryError::new(error.to_string()),
            Err(_) => DeliveryError::new("the suppression list did not answer in time"),
        };
        tracing::warn!(
            target: "campanile",
            channel = EMAIL.name(),
            error = %failure,
            "an address that bounced was not put on the suppression list"
        );
    }
}

/// One verdict for each delivery, in the order of the batch.
fn in_order(mut verdicts: HashMap<usize, Verdict>, deliveries: usize) -> Vec<Verdict> {
    (0..deliveries)
        .map(|index| {
            verdicts
                .remove(&index)
                .expect("every delivery of the batch was judged")
        })
        .collect()
}
