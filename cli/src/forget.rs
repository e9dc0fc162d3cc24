//! **Forgets** a user, and says what stays.

use campanile::{Dispatcher, Forgotten};

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::{counted, plain};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The user, by the id that notifications are sent to
    user: String,

    /// Yes, erase: it cannot be taken back
    #[arg(long, required = true)]
    yes: bool,
}

pub(crate) async fn forget(
    arguments: &Arguments,
    dispatcher: &Dispatcher,
) -> Result<Answer, CommandError> {
    let forgotten = dispatcher.operations().forget_user(&arguments.user).await?;
    Ok(Answer::new(
        told(&plain(&arguments.user), &forgotten),
        &forgotten,
    ))
}

fn told(user: &str, forgotten: &Forgotten) -> String {
    let erased = format!(
        "erased of {user}: {}, {} with their content, {}",
        counted(forgotten.deliveries, "delivery", "deliveries"),
        counted(forgotten.dispatches, "dispatch", "dispatches"),
        counted(forgotten.rows, "other row", "other rows"),
    );
    if forgotten.shared_dispatches == 0 {
        return erased;
    }
    let shared = counted(forgotten.shared_dispatches, "dispatch", "dispatches");
    format!(
        "{erased}\nnot erased: the content of {shared} to others too; it goes when the others are forgotten, or with `prune`"
    )
}
