//! One user's inbox, or a part of it. It never reads another user's rows.

use campanile::Database;
use campanile::event::recipient;

use crate::error::InboxError;
use crate::item::Item;

/// The inbox of one user: all of it, or only one organization, or only one category.
#[derive(Debug, Clone)]
pub struct Inbox {
    pub(crate) database: Database,
    pub(crate) user: String,
    pub(crate) org: Option<String>,
    pub(crate) category: Option<String>,
}

impl Inbox {
    /// The inbox of one user.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidInput`] for an id that cannot be a user's.
    pub fn for_user(database: &Database, user: &str) -> Result<Self, InboxError> {
        recipient::check("user_id", user)?;
        Ok(Self {
            database: database.clone(),
            user: user.to_owned(),
            org: None,
            category: None,
        })
    }

    /// Only the items of one organization. Items without an organization are not in any organization's inbox.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidInput`] for an id that cannot be an organization's.
    pub fn in_org(mut self, org: &str) -> Result<Self, InboxError> {
        recipient::check("org_id", org)?;
        self.org = Some(org.to_owned());
        Ok(self)
    }

    /// Only the items of one category. An unknown category is an empty inbox.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidInput`] for a text that cannot be a category.
    pub fn of_category(mut self, category: &str) -> Result<Self, InboxError> {
        recipient::check("category", category)?;
        self.category = Some(category.to_owned());
        Ok(self)
    }

    /// Whether an item of its user is in this part of the inbox.
    pub(crate) fn holds(&self, item: &Item) -> bool {
        let is_here =
            |part: &Option<String>, of: Option<&String>| part.is_none() || part.as_ref() == of;
        is_here(&self.org, item.org_id.as_ref()) && is_here(&self.category, Some(&item.category))
    }
}
