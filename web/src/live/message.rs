//! A **message** to a connection: the name of an event, and its JSON. It is serialized once for all connections.

use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use campanile_inbox::Item;
use serde::Serialize;

use crate::counts::Counts;

#[derive(Debug, Clone)]
pub(crate) struct Message {
    event: &'static str,
    data: Arc<str>,
}

impl Message {
    /// The counts as they are now.
    pub(crate) fn counts(counts: &Counts) -> Self {
        Self::of("counts", counts)
    }

    /// A new item.
    pub(super) fn created(item: &Item) -> Self {
        Self::of("created", item)
    }

    /// An item as it is after a change.
    pub(super) fn updated(item: &Item) -> Self {
        Self::of("updated", item)
    }

    /// Something was missed, or there were too many changes to send them one by one.
    pub(super) fn reset() -> Self {
        Self::of("reset", &serde_json::Map::new())
    }

    /// The connection is alive; `every` is how often this is sent on an idle connection.
    pub(crate) fn heartbeat(every: Duration) -> Self {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        Self::of("heartbeat", &serde_json::json!({ "everyMs": every }))
    }

    fn of(event: &'static str, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).expect("what the API answers can be written");
        Self {
            event,
            data: data.into(),
        }
    }

    pub(crate) fn event(&self) -> Event {
        Event::default().event(self.event).data(&self.data)
    }
}
