//! Remembers which mails were **refused for certain**: they may go in a batch again.
//!
//! It holds keys only, in memory, and a bounded number of them. Forgetting one is harmless: the mail goes alone.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How many keys a generation holds; there are two.
const GENERATION: usize = 100_000;

#[derive(Default)]
pub(super) struct Refused {
    generations: Mutex<[HashSet<String>; 2]>,
}

impl Refused {
    pub(super) fn remember(&self, key: &str) {
        let [young, old] = &mut *self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if young.len() == GENERATION {
            *old = std::mem::take(young);
        }
        young.insert(key.to_owned());
    }

    /// Whether it was refused, and forgets it: the next attempt decides anew.
    pub(super) fn take(&self, key: &str) -> bool {
        let [young, old] = &mut *self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        young.remove(key) | old.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_once_and_the_oldest_are_forgotten() {
        let refused = Refused::default();
        refused.remember("first");
        assert!(refused.take("first"));
        assert!(!refused.take("first"));
        for key in 0..=2 * GENERATION {
            refused.remember(&key.to_string());
        }
        assert!(!refused.take("0"));
        assert!(refused.take(&GENERATION.to_string()));
        assert!(refused.take(&(2 * GENERATION).to_string()));
    }
}
