//! The **suppression list** of the email channel: how many addresses were added recently.

use campanile::{Database, StoreError};

use super::Finding;
use crate::suppressions::lately;
use crate::table::counted;

const CHECK: &str = "suppressions";

/// From this many in a day, if they are more than half of the week's, the cause is more often the sender's.
const MANY: u64 = 20;

pub(super) async fn check(database: &Database) -> Result<Vec<Finding>, StoreError> {
    let [day, week, suspects] = lately(database).await?;
    let text = format!(
        "{} suppressed in the last day, {week} in the last week; {suspects} suspected",
        counted(day, "address", "addresses")
    );
    let finding = if day >= MANY && 2 * day > week {
        let fix = "check whether the reasons are about your sender and not about the addresses: `suppressions list`; \
                    `suppressions remove ADDRESS` takes one off";
        Finding::warning(CHECK, text, fix)
    } else {
        Finding::ok(CHECK, text)
    };
    Ok(vec![finding])
}
