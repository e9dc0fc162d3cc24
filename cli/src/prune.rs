//! **Prunes** rows past their retention.

use std::time::Duration;

use campanile::Dispatcher;
use campanile::operate::Retention;

use crate::error::CommandError;
use crate::input;
use crate::output::Answer;
use crate::table::counted;

/// How long finished rows are kept.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Deletes deliveries that ended longer ago than this, with their attempts and content: `30d`, `12h`
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = input::length_of_time)]
    deliveries: Duration,

    /// Deletes dedup windows that ended longer ago than this
    #[arg(long, value_name = "AGE", default_value = "1d", value_parser = input::length_of_time)]
    windows: Duration,

    /// Deletes inbox items that were read longer ago than this. Default: they are kept
    #[arg(long, value_name = "AGE", value_parser = input::length_of_time)]
    read_items: Option<Duration>,

    /// Deletes unread inbox items that were written longer ago than this. Default: they are kept
    #[arg(long, value_name = "AGE", value_parser = input::length_of_time)]
    unread_items: Option<Duration>,

    /// Deletes parked deliveries that were committed longer ago than this. Default: they are kept
    #[arg(long, value_name = "AGE", value_parser = input::length_of_time)]
    parked: Option<Duration>,
}

impl Arguments {
    pub(crate) const fn retention(&self) -> Retention {
        Retention {
            deliveries: self.deliveries,
            windows: self.windows,
            read_items: self.read_items,
            unread_items: self.unread_items,
            parked: self.parked,
        }
    }
}

pub(crate) async fn prune(
    arguments: &Arguments,
    dispatcher: &Dispatcher,
) -> Result<Answer, CommandError> {
    let pruned = dispatcher.operations().prune(arguments.retention()).await?;
    let text = format!(
        "removed {}, {}, {}, {}, {}, {}, {}",
        counted(pruned.deliveries, "delivery", "deliveries"),
        counted(pruned.attempts, "attempt", "attempts"),
        counted(pruned.dispatches, "dispatch", "dispatches"),
        counted(pruned.windows, "window", "windows"),
        counted(pruned.read_items, "read item", "read items"),
        counted(pruned.unread_items, "unread item", "unread items"),
        counted(pruned.parked, "parked delivery", "parked deliveries"),
    );
    Ok(Answer::new(text, &pruned))
}
