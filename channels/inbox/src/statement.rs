//! What the **statements** of the inbox share, with the placeholders of [`campanile::Database::sql`]. Each one stands beside the
//! verb it carries out, begins with whose rows it is about, and is served by an index of that user's rows.
//!
//! `$1` is the user, `$2` the organization or null, `$3` the category or null.

/// Whose rows, and which part of them.
pub(crate) const SCOPE: &str =
    "user_id = $1 and ($2 is null or org_id = $2) and ($3 is null or category = $3)";

/// The same of one of several inboxes.
pub(crate) const SCOPE_OF_MANY: &str =
    "user_id = whose and (org is null or org_id = org) and (kind is null or category = kind)";

// The part of a user's rows that an index has. SQLite is told which index: where two would do, it may walk over what is read to find
// what is not, for it goes by how many rows a user has on average.

/// What is in the inbox and not put away.
pub(crate) const CURRENT: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_feed)} where {scope} and archived_at is null";

pub(crate) const UNREAD: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_unread)} where {scope} \
    and archived_at is null and read_at is null";

/// What was read counts as seen.
pub(crate) const UNSEEN: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_unseen)} where {scope} \
    and archived_at is null and read_at is null and seen_at is null";

pub(crate) const ARCHIVED: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_archived)} where {scope} and archived_at is not null";
