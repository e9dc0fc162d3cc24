//! **Bounces** in a row: what refuses everybody speaks of us, whatever its words.
//!
//! It counts in this process, and knows neither the list nor what a reply means.

use std::sync::{Mutex, PoisonError};

/// How many different addresses in a row, without an accepted mail in between, are taken for a fault of ours. At a bounce rate
/// of ten in a hundred that happens by chance once in ten thousand million mails.
pub(crate) const MAX_IN_A_ROW: usize = 10;

/// The addresses that bounced since the last mail was accepted.
#[derive(Debug, Default)]
pub(crate) struct Bounces {
    row: Mutex<Vec<String>>,
}

impl Bounces {
    /// A mail was accepted: whoever bounced before did so for a reason of his own.
    pub(crate) fn accepted(&self) {
        self.row().clear();
    }

    /// An address bounced. If there were too many in a row, all of them, none of which is to be blamed.
    pub(crate) fn bounced(&self, address: &str) -> Option<Vec<String>> {
        let mut row = self.row();
        if row.len() < MAX_IN_A_ROW && !row.iter().any(|known| known == address) {
            row.push(address.to_owned());
        }
        drop(row);
        self.not_to_blame()
    }

    /// The addresses that bounced in a row, if they are too many to be blamed.
    pub(crate) fn not_to_blame(&self) -> Option<Vec<String>> {
        let row = self.row();
        (row.len() == MAX_IN_A_ROW).then(|| row.clone())
    }

    fn row(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_addresses_in_a_row_are_a_fault_of_ours_until_a_mail_is_accepted() {
        let bounces = Bounces::default();
        for number in 1..MAX_IN_A_ROW {
            assert_eq!(bounces.bounced(&format!("{number}@example.com")), None);
        }
        // The same one again says nothing new.
        assert_eq!(bounces.bounced("1@example.com"), None);
        let row = bounces.bounced("last@example.com").unwrap();
        assert_eq!(row.len(), MAX_IN_A_ROW);
        assert_eq!(bounces.bounced("another@example.com"), Some(row));
        bounces.accepted();
        assert_eq!(bounces.bounced("another@example.com"), None);
    }
}
