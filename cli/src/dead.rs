//! The **dead**: deliveries that used up their attempts or will never work.

use campanile::Dispatcher;
use campanile::deliveries::DeliveryState;
use serde_json::json;

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::counted;
use crate::{channels, deliveries};

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists them, newest first
    List(deliveries::Page),
    /// Makes all of them due now, each with a fresh set of attempts
    Redrive {
        /// Of this channel only
        #[arg(long)]
        channel: Option<String>,
    },
}

pub(crate) async fn perform(
    action: Action,
    dispatcher: &Dispatcher,
) -> Result<Answer, CommandError> {
    match action {
        Action::List(page) => deliveries::list(dispatcher, &page, Some(DeliveryState::Dead)).await,
        Action::Redrive { channel } => redrive(dispatcher, channel.as_deref()).await,
    }
}

async fn redrive(dispatcher: &Dispatcher, channel: Option<&str>) -> Result<Answer, CommandError> {
    let redriven = dispatcher.redrive_dead(channel).await?;
    if redriven == 0
        && let Some(channel) = channel
    {
        channels::check(dispatcher, channel).await?;
    }
    let text = match redriven {
        0 => "no delivery was dead".to_owned(),
        1 => "1 delivery is due now; a worker tries it".to_owned(),
        many => format!(
            "{} are due now; a worker tries them",
            counted(many, "delivery", "deliveries")
        ),
    };
    Ok(Answer::new(text, &json!({ "redriven": redriven })))
}
