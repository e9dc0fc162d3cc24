//! A rendered document.

#![no_main]

libfuzzer_sys::fuzz_target!(|html: &str| campanile::render::promises::html(html));
