//! HTML as a document and as text.

#![no_main]

use std::panic;

/// The fuzzer's hook ends the process at every panic. Panics of the library that derives the text are caught: `body::text` then
/// returns no text, as for all HTML that cannot be parsed.
fn let_html2text_panic() {
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let is_caught = |file: &str| file.contains("/html2text-") || file.contains("\\html2text-");
        if !panic.location().is_some_and(|at| is_caught(at.file())) {
            end(panic);
        }
    }));
}

libfuzzer_sys::fuzz_target!(
    init: let_html2text_panic(),
    |html: &str| campanile_email::promises::html(html)
);
