//! The suppressed addresses that were **warned** about: each one once in this process, so that the log does not repeat it.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

/// How many addresses are remembered; then the memory is cleared, and some are warned about once more.
const MAX_ADDRESSES: usize = 10_000;

/// Hashes of the addresses that were warned about.
#[derive(Debug, Default)]
pub(crate) struct Warned {
    hasher: RandomState,
    addresses: Mutex<HashSet<u64>>,
}

impl Warned {
    /// Whether this is the first warning about the address.
    pub(crate) fn is_new(&self, address: &str) -> bool {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MAX_ADDRESSES {
            addresses.clear();
        }
        addresses.insert(self.hasher.hash_one(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_new_once_and_the_memory_is_bounded() {
        let warned = Warned::default();
        assert!(warned.is_new("ada@example.com"));
        assert!(!warned.is_new("ada@example.com"));
        for number in 0..2 * MAX_ADDRESSES {
            warned.is_new(&format!("{number}@example.com"));
        }
        assert!(warned.addresses.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
