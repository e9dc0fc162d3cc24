//! Consecutive **bounces**: when every address bounces, the sender is at fault, whatever the replies say.
//!
//! It counts in this process only.

use std::sync::{Mutex, PoisonError};

/// How many different addresses in a row, without an accepted mail in between, count as the sender's fault. At a bounce rate of
/// 10 % that happens by chance once in ten billion mails.
pub(crate) const MAX_IN_A_ROW: usize = 10;

/// The addresses that bounced since the last mail was accepted.
#[derive(Debug, Default)]
pub(crate) struct Bounces {
    row: Mutex<Vec<String>>,
}

impl Bounces {
    /// A mail was accepted: the earlier bounces were the fault of the addresses.
    pub(crate) fn accepted(&self) {
        self.row().clear();
    }

    /// An address bounced. Returns all addresses of the run if there were too many: then none of them is suppressed.
    pub(crate) fn bounced(&self, address: &str) -> Option<Vec<String>> {
        let mut row = self.row();
        if row.len() < MAX_IN_A_ROW && !row.iter().any(|known| known == address) {
            row.push(address.to_owned());
        }
        drop(row);
        self.not_to_blame()
    }

    /// The addresses that bounced in a row, if there are too many.
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
    fn ten_addresses_in_a_row_count_as_the_senders_fault_until_a_mail_is_accepted() {
        let bounces = Bounces::default();
        for number in 1..MAX_IN_A_ROW {
            assert_eq!(bounces.bounced(&format!("{number}@example.com")), None);
        }
        // The same address again does not count twice.
        assert_eq!(bounces.bounced("1@example.com"), None);
        let row = bounces.bounced("last@example.com").unwrap();
        assert_eq!(row.len(), MAX_IN_A_ROW);
        assert_eq!(bounces.bounced("another@example.com"), Some(row));
        bounces.accepted();
        assert_eq!(bounces.bounced("another@example.com"), None);
    }
}
