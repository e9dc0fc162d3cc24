//! What the binary was **built** as.

use super::Finding;

const CHECK: &str = "panics";

/// Whether a panicking channel would take the process with it.
pub(super) fn panics() -> Finding {
    if cfg!(panic = "abort") {
        return Finding::warning(
            CHECK,
            "this binary is built with `panic = \"abort\"`: a channel that panics ends the process, with every delivery under way",
            "remove `panic = \"abort\"` from the profile in Cargo.toml",
        );
    }
    Finding::ok(CHECK, "a channel that panics is an outcome of its own")
}
