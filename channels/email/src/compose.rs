//! **Composes** the mails of a batch from the frozen parts of their deliveries.
//!
//! The same delivery gives the same mail in every attempt. It does no I/O.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use campanile::channel::{Delivery, Parts, Verdict};

use crate::body;
use crate::mail::Mail;
use crate::mailbox::{InvalidMailbox, Mailbox};

pub(crate) struct Composer {
    pub(crate) from: Mailbox,
    pub(crate) reply_to: Option<Mailbox>,
}

/// A mail and the index of its delivery in the batch.
pub(crate) struct Composed {
    pub(crate) index: usize,
    pub(crate) mail: Mail,
}

/// The mailboxes of a recipient, the preferred one first, and the index of the delivery in the batch.
pub(crate) struct Recipient {
    pub(crate) index: usize,
    pub(crate) mailboxes: Vec<Mailbox>,
}

/// Additions to the rendered parts of an event, frozen with them: the HTML as a complete document, and the text if the event has
/// none.
pub(crate) fn complete(parts: &Parts) -> Parts {
    let part = |name| parts.get(name).map_or("", String::as_str);
    let (subject, html) = (part("subject"), part("html"));
    let mut completed = Parts::from([("html".to_owned(), body::document(subject, html))]);
    if part("text").is_empty() {
        let text = body::text(html).unwrap_or_else(|| subject.to_owned());
        completed.insert("text".to_owned(), text);
    }
    completed
}

/// The recipients of a batch, and the verdicts on deliveries without a valid address.
pub(crate) fn recipients(batch: &[Delivery]) -> (Vec<Recipient>, HashMap<usize, Verdict>) {
    let mut recipients = Vec::with_capacity(batch.len());
    let mut verdicts = HashMap::new();
    for (index, delivery) in batch.iter().enumerate() {
        let mut mailboxes = Vec::with_capacity(delivery.addresses.len());
        let mut refused = Verdict::Unreachable;
        for address in &delivery.addresses {
            match address.parse() {
                Ok(mailbox) => mailboxes.push(mailbox),
                // The error of the preferred address is more useful than that of an old one.
                Err(error) if matches!(refused, Verdict::Unreachable) => {
                    let error: InvalidMailbox = error;
                    refused = Verdict::permanent(error.to_string());
                }
                Err(_) => {}
            }
        }
        if mailboxes.is_empty() {
            verdicts.insert(index, refused);
        } else {
            recipients.push(Recipient { index, mailboxes });
        }
    }
    (recipients, verdicts)
}

/// The texts derived so far, for content that an older version froze without a text: a dispatch to many has one content, and its
/// text is derived once.
pub(crate) type Texts<'a> = HashMap<&'a str, Option<String>>;

impl Composer {
    /// The mail of a delivery to one of its recipient's mailboxes.
    pub(crate) fn mail<'a>(
        &self,
        delivery: &'a Delivery,
        to: Mailbox,
        texts: &mut Texts<'a>,
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

/// Ids of deliveries are created at admission and contain the time.
fn admitted_at(delivery: &Delivery) -> SystemTime {
    delivery
        .id
        .get_timestamp()
        .map_or_else(SystemTime::now, |timestamp| {
            let (seconds, nanos) = timestamp.to_unix();
            SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
        })
}
