//! The **dead**: deliveries that exhausted their attempts or can never succeed.

use campanile::Dispatcher;
use campanile::channel::ErrorClass;
use campanile::operate::{DeadFilter, DeliveryState};
use jiff::Timestamp;
use serde_json::json;

use crate::error::CommandError;
use crate::output::{Answer, Ended};
use crate::table::counted;
use crate::{channels, deliveries, input};

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists dead deliveries, newest first
    List(deliveries::Page),
    /// Makes dead deliveries due now, each with a fresh set of attempts
    ///
    /// It changes deliveries that are dead when it starts and have not expired. Without `--yes` it prints how many there are,
    /// changes nothing and exits with 1.
    Redrive {
        #[command(flatten)]
        which: Which,

        /// Change the deliveries
        #[arg(long)]
        yes: bool,

        /// Only print how many there are
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
    },
}

/// Selects dead deliveries.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// Only of this channel
    #[arg(long)]
    channel: Option<String>,

    /// Only of this event
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,

    /// Only those that died at this time or later: `2026-03-01T12:00Z`, or `2h` for two hours ago
    #[arg(long, value_name = "TIME", value_parser = input::moment)]
    since: Option<Timestamp>,

    /// Only those that died before this time
    #[arg(long, value_name = "TIME", value_parser = input::moment)]
    until: Option<Timestamp>,

    /// Only those whose last attempt failed with this class of error
    #[arg(long, value_name = "CLASS", value_parser = input::error_class())]
    reason: Option<ErrorClass>,
}

impl Which {
    fn filter(&self) -> DeadFilter<'_> {
        DeadFilter {
            channel: self.channel.as_deref(),
            event_type: self.event.as_deref(),
            since: self.since,
            until: self.until,
            error_class: self.reason,
        }
    }
}

pub(crate) async fn perform(
    action: Action,
    dispatcher: &Dispatcher,
) -> Result<Answer, CommandError> {
    match action {
        Action::List(page) => deliveries::list(dispatcher, &page, Some(DeliveryState::Dead)).await,
        Action::Redrive {
            which,
            yes: true,
            dry_run: _,
        } => redrive(dispatcher, &which).await,
        Action::Redrive { which, dry_run, .. } => {
            let ended = if dry_run {
                Ended::Well
            } else {
                Ended::WithProblems
            };
            count(dispatcher, &which, ended).await
        }
    }
}

async fn redrive(dispatcher: &Dispatcher, which: &Which) -> Result<Answer, CommandError> {
    let redriven = dispatcher.operations().redrive_dead(which.filter()).await?;
    if redriven == 0 {
        check(dispatcher, which).await?;
    }
    let text = match redriven {
        0 => NONE.to_owned(),
        1 => "1 delivery is due now; a worker will send it".to_owned(),
        many => format!(
            "{} are due now; a worker will send them",
            counted(many, "delivery", "deliveries")
        ),
    };
    Ok(Answer::new(text, &json!({ "redriven": redriven })))
}

/// What would be changed, and how to change it.
async fn count(
    dispatcher: &Dispatcher,
    which: &Which,
    ended: Ended,
) -> Result<Answer, CommandError> {
    let dead = dispatcher.operations().count_dead(which.filter()).await?;
    let answer = json!({ "dead": dead, "redriven": 0 });
    if dead == 0 {
        check(dispatcher, which).await?;
        return Ok(Answer::new(NONE, &answer));
    }
    let would = counted(dead, "delivery", "deliveries");
    let text = format!("{would} would be due now; nothing is changed without `--yes`");
    Ok(Answer::new(text, &answer).ended(ended))
}

const NONE: &str = "no such delivery is dead";

/// The channel may be a typo.
async fn check(dispatcher: &Dispatcher, which: &Which) -> Result<(), CommandError> {
    match &which.channel {
        Some(channel) => channels::check(dispatcher, channel).await,
        None => Ok(()),
    }
}
