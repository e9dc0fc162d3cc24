//! The **version** of a user's settings: a change that names the version it was made for is not made to another one.

use sha2::{Digest as _, Sha256};

use super::error::PreferenceError;
use super::{Cell, CellChange, Matrix, UserPreferences};
use crate::database::error::StoreError;
use crate::store::preferences;

impl Matrix {
    /// A digest of the matrix, for an `ETag`: it stays the same as long as nothing in the matrix changes.
    ///
    /// # Panics
    ///
    /// Never: a matrix can be written as JSON.
    #[must_use]
    pub fn version(&self) -> String {
        let json = serde_json::to_vec(self).expect("a matrix can be written as JSON");
        let digest = Sha256::digest(json);
        let (half, _) = digest
            .split_first_chunk::<16>()
            .expect("a digest has 32 bytes");
        format!("{:032x}", u128::from_be_bytes(*half))
    }

    fn cell(&self, category: &str, channel: &str) -> Option<&Cell> {
        let row = self
            .categories
            .iter()
            .find(|row| row.category == category)?;
        row.channels.iter().find(|cell| cell.channel == channel)
    }
}

impl UserPreferences<'_> {
    /// Switches one cell of the settings as somebody saw them, and gives them as they are then. Unlike
    /// [`set`](UserPreferences::set) it refuses to mute a channel that is critical for every event of the category: whoever
    /// asks would believe that it is off.
    ///
    /// # Errors
    ///
    /// [`PreferenceError::UnknownCategory`], [`PreferenceError::UnknownChannel`]; [`PreferenceError::Changed`] when the
    /// settings are not of this [version](Matrix::version) any more; [`PreferenceError::Locked`]. Nothing is written then.
    ///
    /// # Cancel safety
    ///
    /// One transaction: it is switched or it is not.
    pub async fn set_at(
        &self,
        version: &str,
        change: &CellChange,
    ) -> Result<Matrix, PreferenceError> {
        let cells = self.upsert(std::slice::from_ref(change))?;
        let may = |rows| may(&self.matrix_of(rows), version, change);
        let switched = preferences::set_if(self.database, &self.user, &cells, may).await;
        Ok(self.matrix_of(switched.map_err(StoreError::from)??))
    }
}

fn may(seen: &Matrix, version: &str, change: &CellChange) -> Result<(), PreferenceError> {
    if seen.version() != version {
        return Err(PreferenceError::Changed);
    }
    match seen.cell(&change.category, &change.channel) {
        Some(cell) if cell.locked && !change.enabled => Err(PreferenceError::Locked {
            category: change.category.clone(),
            channel: change.channel.clone(),
            reason: cell.reason.clone().unwrap_or_default(),
        }),
        _ => Ok(()),
    }
}
