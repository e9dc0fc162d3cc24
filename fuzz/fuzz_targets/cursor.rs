//! A cursor, or a moment.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| campanile_web::promises::cursor(text));
