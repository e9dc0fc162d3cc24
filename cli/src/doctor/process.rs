//! How the binary was **built**.

use super::Finding;

const CHECK: &str = "panics";

/// Whether a panicking channel would end the process.
pub(super) fn panics() -> Finding {
    if cfg!(panic = "abort") {
        return Finding::warning(
            CHECK,
            "this binary is built with `panic = \"abort\"`: a channel that panics ends the process, with every running delivery",
            "remove `panic = \"abort\"` from the profile in Cargo.toml",
        );
    }
    Finding::ok(CHECK, "a panic of a channel fails only its own deliveries")
}
