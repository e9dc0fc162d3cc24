//! Where something is declared: package, file and line.

use serde::Serialize;

/// Where something is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// The package.
    #[serde(rename = "crate")]
    pub krate: &'static str,
    /// The source file, as rustc names it.
    pub file: &'static str,
    /// The line of the declaration.
    pub line: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} ({})", self.file, self.line, self.krate)
    }
}

/// The place this macro is written at, as a [`Location`].
#[macro_export]
macro_rules! here {
    () => {
        $crate::event::Location {
            krate: ::core::env!("CARGO_PKG_NAME"),
            file: ::core::file!(),
            line: ::core::line!(),
        }
    };
}
