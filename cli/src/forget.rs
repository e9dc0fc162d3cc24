//! **Forgets** a user, and reports what stays.

use std::fmt::Write as _;

use campanile::Dispatcher;
use campanile::operate::Forgotten;

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::{counted, plain};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The user's id, as used for recipients
    user: String,

    /// Confirm the erasure, which cannot be undone
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
    let mut told = erased;
    if forgotten.shared_dispatches > 0 {
        let shared = counted(forgotten.shared_dispatches, "dispatch", "dispatches");
        let _ = write!(
            told,
            "\nnot erased: the content of {shared} with other recipients; it is deleted when they are forgotten, or by `prune`"
        );
    }
    if forgotten.kept_hashes > 0 {
        let hashes = counted(forgotten.kept_hashes, "address", "addresses");
        let _ = write!(
            told,
            "\nkept: a keyed hash of {hashes} that must not be mailed any more"
        );
    }
    told
}
