//! **Channels**: lists linked and paused channels, and pauses or resumes them.

use campanile::channel::Transport;
use campanile::operate::DeliveryFilter;
use campanile::operate::{ChannelStatus, PauseError};
use campanile::{Dispatcher, Registry};
use serde_json::json;

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::{Table, counted, or_dash, short};

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists the remote channels, and whether they are paused
    List,
    /// Pauses a channel: its deliveries are committed and wait
    Pause {
        /// The channel
        channel: String,
        /// The reason, for other operators
        #[arg(long)]
        reason: String,
    },
    /// Resumes a channel
    Resume {
        /// The channel
        channel: String,
    },
}

pub(crate) async fn perform(
    action: Action,
    dispatcher: &Dispatcher,
) -> Result<Answer, CommandError> {
    match action {
        Action::List => {
            let channels = dispatcher.operations().channels().await?;
            Ok(Answer::new(table(&channels), &channels))
        }
        Action::Pause { channel, reason } => {
            dispatcher
                .operations()
                .pause_channel(&channel, &reason)
                .await?;
            let text = format!("{channel} is paused; `channels resume {channel}` ends it");
            let json = json!({ "channel": channel, "paused": true, "reason": reason });
            Ok(Answer::new(text, &json))
        }
        Action::Resume { channel } => {
            dispatcher.operations().resume_channel(&channel).await?;
            let text = format!("{channel} is open; a worker delivers its waiting deliveries");
            let json = json!({ "channel": channel, "paused": false });
            Ok(Answer::new(text, &json))
        }
    }
}

/// The linked remote channels.
pub(crate) fn remote(registry: &Registry) -> Vec<&'static str> {
    let remote = registry
        .channels()
        .filter(|channel| matches!(channel.transport, Transport::Remote(_)));
    remote.map(|channel| channel.declaration.name()).collect()
}

/// Whether a list is empty because of a typo: no such channel is linked, and it has no deliveries.
pub(crate) async fn check(dispatcher: &Dispatcher, channel: &str) -> Result<(), CommandError> {
    let known = remote(dispatcher.registry());
    if known.contains(&channel) {
        return Ok(());
    }
    let filter = DeliveryFilter {
        channel: Some(channel),
        limit: 1,
        ..DeliveryFilter::default()
    };
    if dispatcher.operations().deliveries(filter).await?.is_empty() {
        let channel = short(channel);
        return Err(PauseError::UnknownChannel { channel, known }.into());
    }
    Ok(())
}

/// Whether the channel is paused: for all processes, or by single processes for themselves.
fn state(status: &ChannelStatus) -> String {
    match (&status.pause, status.worker_pauses.len()) {
        (Some(_), _) => "paused".to_owned(),
        (None, 0) => "open".to_owned(),
        (None, processes) => format!(
            "open, paused in {}",
            counted(processes as u64, "process", "processes")
        ),
    }
}

fn table(channels: &[ChannelStatus]) -> String {
    if channels.is_empty() {
        return "no remote channel is linked".to_owned();
    }
    let mut table = Table::new(["CHANNEL", "STATE", "SINCE", "NEXT TRY", "REASON"]);
    for status in channels {
        let pause = status.pause.as_ref();
        let in_worker = status.worker_pauses.first().filter(|_| pause.is_none());
        table.row([
            status.channel.to_owned(),
            state(status),
            or_dash(
                pause
                    .map(|pause| pause.paused_at)
                    .or(in_worker.map(|pause| pause.paused_at))
                    .map(|at| format!("{at:.0}")),
            ),
            or_dash(
                pause
                    .and_then(|pause| pause.probe_at)
                    .or(in_worker.map(|pause| pause.probe_at))
                    .map(|at| format!("{at:.0}")),
            ),
            or_dash(
                pause
                    .map(|pause| &pause.reason)
                    .or(in_worker.map(|pause| &pause.reason))
                    .map(|reason| short(reason)),
            ),
        ]);
    }
    table.to_string()
}
