//! What campanile costs, beside the raw limit of the database and a loop written by hand: `docs/performance.md` says how to run
//! it and what each work measures.
//!
//! A work is a list of cases. In each case the contenders do the same on tables of the same kind, one after
//! the other in rounds, and a case gives figures of each. What is compared is the ratio within a round, so that a machine that
//! becomes slower while it runs slows all of them.

mod options;
mod stage;
mod host;
mod seed;
mod contenders;
mod measure;
mod work;
mod child;
mod report;

use campanile_inbox as _;

pub use crate::child::{Child, run_child};
pub use crate::options::{Form, Kind, Options, Work};
pub use crate::report::{Report, Section};
pub use crate::work::run_works;

/// Why the bench could not go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type Result<T> = std::result::Result<T, Failure>;
