//! **Composes** the mails of a batch from the frozen parts of their deliveries.
//!
//! The same delivery gives the same mail in every attempt. It asks nobody anything.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use campanile::delivery::{Delivery, Verdict};

use crate::body;
use crate::mail::Mail;
use crate::mailbox::Mailbox;

#[derive(Clone)]
pub(crate) struct Composer {
    pub(crate) from: Mailbox,
    pub(crate) reply_to: Option<Mailbox>,
}

/// A mail and the place of its delivery in the batch.
pub(crate) struct Composed {
    pub(crate) index: usize,
    pub(crate) mail: Mail,
}

impl Composer {
    /// The mails of a batch, and the verdicts on deliveries that cannot be one.
    pub(crate) fn compose(&self, batch: &[Delivery]) -> (Vec<Composed>, HashMap<usize, Verdict>) {
        let mut composed = Vec::with_capacity(batch.len());
        let mut verdicts = HashMap::new();
        // A dispatch to many has one content: its text is derived once.
        let mut texts = HashMap::new();
        for (index, delivery) in batch.iter().enumerate() {
            let Some(address) = delivery.addresses.first() else {
                verdicts.insert(index, Verdict::Unreachable);
                continue;
            };
            match address.parse() {
                Ok(to) => {
                    let mail = self.mail(delivery, to, &mut texts);
                    composed.push(Composed { index, mail });
                }
                Err(error) => {
                    verdicts.insert(index, Verdict::permanent(error.to_string()));
                }
            }
        }
        (composed, verdicts)
    }

    fn mail<'a>(
        &self,
        delivery: &'a Delivery,
        to: Mailbox,
        texts: &mut HashMap<&'a str, Option<String>>,
    ) -> Mail {
        let html = delivery.part("html");
        let text = match delivery.part("text") {
            "" => texts
                .entry(html)
                .or_insert_with(|| body::text(html))
                .clone(),
            text => Some(text.to_owned()),
        };
        let key = delivery.idempotency_key();
        let subject = delivery.part("subject");
        Mail {
            batch_key: delivery.batch_key(),
            attempt: delivery.attempt,
            composed_at: admitted_at(delivery),
            reply_to: self.reply_to.clone(),
            ..Mail::with_text(key, self.from.clone(), to, subject, html, text)
        }
    }
}

/// Ids of deliveries are made at admission and hold the time.
fn admitted_at(delivery: &Delivery) -> SystemTime {
    delivery
        .id
        .get_timestamp()
        .map_or_else(SystemTime::now, |timestamp| {
            let (seconds, nanos) = timestamp.to_unix();
            SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
        })
}
