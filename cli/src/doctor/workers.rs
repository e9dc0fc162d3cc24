//! Whether a **worker** is alive for every remote channel.

use campanile::{Dispatcher, StoreError};

use super::Finding;
use crate::channels;

const CHECK: &str = "workers";

/// A worker that was seen recently.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The channels it delivers.
    channels: Vec<String>,
}

pub(super) async fn check(dispatcher: &Dispatcher) -> Result<Vec<Finding>, StoreError> {
    let remote = channels::remote(dispatcher.registry());
    let workers = dispatcher.operations().workers().await?.into_iter();
    let seen: Vec<_> = workers
        .map(|worker| Seen {
            channels: worker.channels,
        })
        .collect();
    Ok(vec![judge(&remote, &seen)])
}

/// Each remote channel needs a worker that links it.
fn judge(remote: &[&str], seen: &[Seen]) -> Finding {
    if remote.is_empty() {
        return Finding::ok(CHECK, "none is needed: no remote channel is linked");
    }
    if seen.is_empty() {
        return Finding::problem(
            CHECK,
            "no worker was seen within the last 30 seconds: failed deliveries are not retried",
            "start one: `worker`, or `Worker::new(dispatcher).run(stop)` in your app",
        );
    }
    let is_served = |channel: &str| {
        let mut all = seen.iter().flat_map(|worker| &worker.channels);
        all.any(|linked| linked == channel)
    };
    let unserved: Vec<_> = remote
        .iter()
        .copied()
        .filter(|channel| !is_served(channel))
        .collect();
    if unserved.is_empty() {
        let alive = crate::table::counted(seen.len() as u64, "worker is", "workers are");
        return Finding::ok(CHECK, format!("{alive} alive, for {}", remote.join(", ")));
    }
    Finding::problem(
        CHECK,
        format!("no worker delivers {}", unserved.join(", ")),
        "start one from a binary that links it: `worker`",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn worker(channels: &[&str]) -> Seen {
        Seen {
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
        }
    }

    #[test]
    fn every_remote_channel_needs_a_worker() {
        let email = worker(&["email"]);
        let status = |remote: &[&str], seen: &[Seen]| judge(remote, seen).status;
        assert_eq!(status(&["email"], &[]), Status::Problem);
        assert_eq!(status(&["email"], std::slice::from_ref(&email)), Status::Ok);
        assert_eq!(
            status(&["email", "push"], std::slice::from_ref(&email)),
            Status::Problem
        );
        assert_eq!(
            status(&["email", "push"], &[email, worker(&["push"])]),
            Status::Ok
        );
        assert_eq!(status(&[], &[]), Status::Ok);
    }
}
