//! A rendered line or text.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: (u16, &str)| campanile::render::promises::text(text.1, text.0));
