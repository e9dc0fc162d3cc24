//! A channel **completes** its rendered content before the content is frozen. If it did so in each attempt, a deploy between two
//! attempts could change what is sent.
//!
//! Only parts that the channel declares are kept. If a channel panics here, its content stays as rendered, and the dispatch goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::channel::delivery::Parts;
use crate::channel::{Channel, ChannelDeclaration};
use crate::dispatch::write::Writer;
use crate::event::EventDeclaration;
use crate::plan::render::{Content, finish};

/// Content of more bytes is completed on a thread of its own.
const MAX_INLINE: usize = 64 * 1024;

impl Writer {
    /// The rendered content with what the remote channels add to it.
    pub(crate) async fn complete(
        &self,
        event: &'static EventDeclaration,
        mut content: Content,
    ) -> Content {
        for used in event.channels {
            let name = used.channel.name();
            let (Some(parts), Some(remote)) = (content.get_mut(name), self.channels.get(name))
            else {
                continue;
            };
            let completed = completed(Arc::clone(&remote.channel), parts).await;
            self.merge(used.channel, parts, completed);
        }
        content
    }

    fn merge(&self, channel: &ChannelDeclaration, parts: &mut Parts, completed: Option<Parts>) {
        let Some(completed) = completed else {
            tracing::error!(
                target: "campanile",
                channel = channel.name(),
                "the channel panicked while it completed the content: the content is sent as it was rendered"
            );
            return;
        };
        for (name, text) in completed {
            let finished = match channel.part(&name) {
                Some(part) => finish(text, part.form(), self.limits.http_links),
                None => Err("the channel does not declare it".to_owned()),
            };
            match finished {
                Ok(text) => {
                    parts.insert(name, text);
                }
                Err(reason) => tracing::error!(
                    target: "campanile",
                    channel = channel.name(),
                    part = name,
                    reason,
                    "a part from the channel is ignored, and stays as it was rendered"
                ),
            }
        }
    }
}

/// The parts that the channel returns; `None` if it panicked.
async fn completed(channel: Arc<dyn Channel>, parts: &Parts) -> Option<Parts> {
    let bytes: usize = parts.values().map(String::len).sum();
    if bytes <= MAX_INLINE {
        return guarded(&*channel, parts);
    }
    let parts = parts.clone();
    let completing = tokio::task::spawn_blocking(move || guarded(&*channel, &parts));
    completing.await.ok().flatten()
}

fn guarded(channel: &dyn Channel, parts: &Parts) -> Option<Parts> {
    catch_unwind(AssertUnwindSafe(|| channel.complete(parts))).ok()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::channel::delivery::{Delivery, Verdict};

    struct Falls;

    #[async_trait]
    impl Channel for Falls {
        async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
            batch.iter().map(|_| Verdict::accepted()).collect()
        }

        fn complete(&self, _: &Parts) -> Parts {
            panic!("it falls")
        }
    }

    #[test]
    fn a_channel_that_panics_completes_nothing() {
        assert_eq!(guarded(&Falls, &Parts::new()), None);
    }
}
