//! HTML as a document and as text.

#![no_main]

libfuzzer_sys::fuzz_target!(|html: &str| campanile_email::promises::html(html));
