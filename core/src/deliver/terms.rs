//! The **terms** of a round: whether it is to stop, and whether it is a probe of its channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::deliver::brake::Answer;

/// The conditions under which a round runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) stop: Stop,
    pub(crate) probe: Option<Probe>,
}

impl Terms {
    /// A round that ends when a worker is asked to stop.
    pub(crate) fn until(stop: &Stop) -> Self {
        Self {
            stop: stop.clone(),
            probe: None,
        }
    }
}

/// Whether no further batch may begin. Cheap to clone; clones share the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A round of one delivery that finds out whether a paused channel works again, and records whether the provider was called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probe(Arc<AtomicBool>);

impl Probe {
    pub(crate) fn note(&self, answer: Answer) {
        if answer != Answer::NotAsked {
            self.0.store(true, Ordering::Release);
        }
    }

    pub(crate) fn has_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
