//! The events and channels **linked** into this binary, whether they fit together, and which channels are paused.

use campanile::channel::Transport;
use campanile::operate::WorkerPause;
use campanile::{Dispatcher, Registry, RegistryError, StoreError};

use super::Finding;
use crate::table::{counted, plain};

/// The problems of the events and channels, or their number.
pub(super) fn events_and_channels(
    registry: Option<&Registry>,
    error: Option<&RegistryError>,
) -> Vec<Finding> {
    let problems = error.map(RegistryError::problems).unwrap_or_default();
    let mut checks: Vec<_> = problems.iter().flat_map(|text| problem(text)).collect();
    let Some(registry) = registry else {
        return checks;
    };
    let names: Vec<_> = registry
        .channels()
        .map(|channel| match channel.transport {
            Transport::Local(_) => format!("{} (local)", channel.declaration.name()),
            Transport::Remote(_) => channel.declaration.name().to_owned(),
        })
        .collect();
    let events = registry.events().count() as u64;
    let text = format!(
        "{} over {}: {}",
        counted(events, "event", "events"),
        counted(names.len() as u64, "channel", "channels"),
        names.join(", ")
    );
    if events == 0 {
        checks.push(Finding::warning(
            "registry",
            "this binary links no event: nothing can be sent",
            "name the crate of your events in the source of the binary: `use my_events as _;`",
        ));
    } else if problems.is_empty() {
        checks.push(Finding::ok("registry", text));
    }
    checks
}

/// A problem of the registry says what is wrong and, after a semicolon, what to do; missing settings are listed one after the
/// other.
fn problem(text: &str) -> Vec<Finding> {
    const CHECK: &str = "registry";
    const MISSING: &str = " is not set: ";
    let whole = || Finding::problem(CHECK, text, "fix it at the place in the message");
    if text.contains(MISSING) {
        let settings = text
            .split("; ")
            .map(|setting| match setting.split_once(MISSING) {
                Some((what, how)) => Finding::problem(CHECK, format!("{what} is not set"), how),
                None => whole(),
            });
        return settings.collect();
    }
    vec![match text.split_once("; ") {
        Some((message, fix)) => Finding::problem(CHECK, message, fix),
        None => whole(),
    }]
}

/// The remote channels, and a line for each that is paused.
pub(super) async fn pauses(dispatcher: &Dispatcher) -> Result<Vec<Finding>, StoreError> {
    let channels = dispatcher.operations().channels().await?;
    let mut checks = Vec::new();
    for status in &channels {
        if status.pause.is_none() {
            checks.extend(
                status
                    .worker_pauses
                    .iter()
                    .map(|pause| paused_by_one(status.channel, pause)),
            );
        }
        let (Some(pause), channel) = (&status.pause, status.channel) else {
            continue;
        };
        let (reason, since) = (plain(&pause.reason), pause.paused_at);
        checks.push(if pause.probe_at.is_some() {
            Finding::problem(
                "channels",
                format!("{channel} is misconfigured in every worker, and has been paused since {since:.0}: {reason}"),
                format!("correct its settings; one delivery is tried every minute, or at once after `channels resume {channel}`"),
            )
        } else {
            Finding::warning(
                "channels",
                format!("{channel} was paused at {since:.0}: {reason}"),
                format!("to resume it: `channels resume {channel}`"),
            )
        });
    }
    if checks.is_empty() {
        let text = match channels.len() {
            0 => "no remote channel is linked".to_owned(),
            _ => "no channel is paused".to_owned(),
        };
        checks.push(Finding::ok("channels", text));
    }
    Ok(checks)
}

/// A channel that one process has paused for itself.
fn paused_by_one(channel: &str, pause: &WorkerPause) -> Finding {
    let (worker, reason, since) = (pause.worker, plain(&pause.reason), pause.paused_at);
    Finding::problem(
        "channels",
        format!(
            "{channel} is misconfigured in worker {worker}, which has paused it for itself since {since:.0}: {reason}"
        ),
        format!(
            "give that process the same settings as the others and restart it; it tries one delivery every minute, or at once after `channels resume {channel}`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_is_separated_from_the_problem() {
        for (text, message, fix) in [
            (
                "two channels are named `a`: x and y; rename one",
                "two channels are named `a`: x and y",
                "rename one",
            ),
            (
                "channel `email` (x): the sender is not set: give it in code",
                "channel `email` (x): the sender is not set",
                "give it in code",
            ),
            (
                "event `a` (x): it has no channel",
                "event `a` (x): it has no channel",
                "fix it at the place in the message",
            ),
        ] {
            let check = problem(text).remove(0);
            assert_eq!(
                (check.message.as_str(), check.fix.as_deref()),
                (message, Some(fix))
            );
        }
    }
}
