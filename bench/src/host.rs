//! The **host**: the events that are dispatched, and a remote channel that does nothing.

use std::sync::Arc;

use campanile::async_trait;
use campanile::channel::{Channel, ChannelDeclaration, Delivery, INBOX, Part, Transport, Verdict};
use campanile::channel::{Setup, SetupError};
use campanile::{Database, Dispatcher, Notice, NotifiableEvent as _, notifiable_event};

use crate::Result;

/// A remote channel that accepts everything at once, so that what is measured is not a provider.
pub(crate) const WIRE: ChannelDeclaration = ChannelDeclaration::new(
    "wire",
    env!("CARGO_CRATE_NAME"),
    &[Part::text("text", 1_000)],
);

campanile::register_channel!(WIRE, Transport::Remote(build));

#[allow(clippy::unnecessary_wraps, reason = "the form of `Transport::Remote`")]
fn build(setup: &Setup<'_>) -> std::result::Result<Arc<dyn Channel>, SetupError> {
    let settings = setup.settings::<WireSettings>().copied();
    Ok(Arc::new(Wire(settings.unwrap_or_default())))
}

/// How many deliveries a call of the channel takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WireSettings {
    pub(crate) batch: usize,
}

impl Default for WireSettings {
    fn default() -> Self {
        Self { batch: 100 }
    }
}

struct Wire(WireSettings);

#[async_trait]
impl Channel for Wire {
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
        batch.iter().map(|_| Verdict::accepted()).collect()
    }

    fn max_batch(&self) -> usize {
        self.0.batch
    }
}

/// What the other contenders call instead of the channel.
#[allow(clippy::unused_async, reason = "a channel is called like this")]
pub(crate) async fn send(address: &str, text: &str) -> bool {
    std::hint::black_box((address, text));
    true
}

/// An invoice was paid.
#[notifiable_event(
    "bench.invoice.paid",
    category = "bench",
    dedup(window = "10m", by(subject)),
    channels(
        INBOX(
            title = "Invoice {{ number }} was paid",
            body = "{{ payer }} paid {{ amount }} for invoice {{ number }}.",
        ),
        WIRE(text = "{{ payer }} paid {{ amount }} for invoice {{ number }}."),
    )
)]
pub(crate) struct InvoicePaid {
    pub(crate) number: String,
    pub(crate) payer: String,
    pub(crate) amount: String,
}

/// An invoice is due.
#[notifiable_event(
    "bench.invoice.due",
    category = "bench",
    dedup(window = "0s"),
    channels(WIRE(text = "Invoice {{ number }} is due."))
)]
pub(crate) struct InvoiceDue {
    pub(crate) number: String,
}

/// The type and the category of [`InvoicePaid`], as the other contenders write them.
pub(crate) const EVENT: &str = "bench.invoice.paid";
pub(crate) const CATEGORY: &str = "bench";

/// One dispatch of [`InvoicePaid`].
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The invoice; a window is open for it.
    pub(crate) subject: String,
    pub(crate) recipients: Vec<String>,
    /// Those who are neither muted nor a repeat. Only the raw limit uses it.
    pub(crate) admitted: Vec<String>,
}

impl Job {
    /// A job whose recipients are all admitted.
    pub(crate) fn to(subject: impl Into<String>, recipients: Vec<String>) -> Self {
        Self {
            subject: subject.into(),
            admitted: recipients.clone(),
            recipients,
        }
    }

    fn event(&self) -> InvoicePaid {
        InvoicePaid {
            number: self.subject.clone(),
            payer: "Ada Lovelace".to_owned(),
            amount: "1,200 EUR".to_owned(),
        }
    }

    pub(crate) fn notice(&self) -> Notice {
        self.event().about(&self.subject).to(&self.recipients)
    }

    /// What the templates render, written by hand.
    pub(crate) fn content(&self) -> Content {
        let InvoicePaid {
            number,
            payer,
            amount,
        } = self.event();
        let title = format!("Invoice {number} was paid");
        let body = format!("{payer} paid {amount} for invoice {number}.");
        let payload = serde_json::json!({ "number": number, "payer": payer, "amount": amount });
        let parts = serde_json::json!({
            "inbox": { "title": title, "body": body }, "wire": { "text": body },
        });
        Content {
            title,
            payload: payload.to_string(),
            parts: parts.to_string(),
            body,
        }
    }
}

/// The texts of a job, as the contenders that have no templates write them.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) title: String,
    /// Also the text of the remote channel.
    pub(crate) body: String,
    pub(crate) payload: String,
    /// What the dispatch row keeps: the parts of each channel.
    pub(crate) parts: String,
}

/// A dispatcher with every event and channel of this crate.
pub(crate) fn dispatcher(database: Database, batch: usize) -> Result<Dispatcher> {
    let dispatcher = Dispatcher::builder()
        .database(database)
        .with(WireSettings { batch })
        .tune(&WIRE, move |policy| policy.batch(batch))
        .build()?;
    Ok(dispatcher)
}

/// Queues so many deliveries of [`InvoiceDue`], a hundred for each dispatch.
pub(crate) async fn queue(database: &Database, deliveries: usize) -> Result<()> {
    const AUDIENCE: usize = 100;
    let dispatcher = dispatcher(database.clone(), AUDIENCE)?;
    let notices = (0..deliveries).step_by(AUDIENCE).map(|from| {
        let number = from.to_string();
        let users = from..(from + AUDIENCE).min(deliveries);
        InvoiceDue { number }
            .about(from)
            .to(users.map(|user| crate::seed::user(user % crate::seed::USERS)))
    });
    let notices: Vec<_> = notices.collect();
    for some in notices.chunks(100) {
        drop(dispatcher.enqueue_all(some.to_vec()).await?);
    }
    Ok(())
}
