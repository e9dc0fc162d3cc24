//! What the **statements** of the inbox share, with the placeholders of [`campanile::Database::sql`]. Each one stands beside the
//! function that runs it, restricts the rows to one user first, and is served by an index of that user's rows.
//!
//! `$1` is the user, `$2` the organization or null, `$3` the category or null.

/// The user's rows, or the part of an organization or a category.
pub(crate) const SCOPE: &str =
    "user_id = $1 and ($2 is null or org_id = $2) and ($3 is null or category = $3)";

/// The same, for each of several inboxes.
pub(crate) const SCOPE_OF_MANY: &str =
    "user_id = whose and (org is null or org_id = org) and (kind is null or category = kind)";

// The parts of a user's rows that have an index. On SQLite the index of the unread items is named: the planner only knows how many
// rows a user has on average, and might scan the read items to find the unread ones.

/// Items that are not archived.
pub(crate) const CURRENT: &str = "\
    {campanile}notifications as item where {scope} and archived = {flag(0)}";

pub(crate) const UNREAD: &str = "\
    {campanile}notifications as item{sqlite( indexed by campanile_notifications_unread)} where {scope} \
    and archived = {flag(0)} and read_at is null";

/// Items that were not seen. A read item counts as seen.
pub(crate) const UNSEEN: &str = "\
    {campanile}notifications as item{sqlite( indexed by campanile_notifications_unseen)} where {scope} \
    and archived = {flag(0)} and read_at is null and seen_at is null";

pub(crate) const ARCHIVED: &str = "\
    {campanile}notifications as item where {scope} and archived = {flag(1)}";
