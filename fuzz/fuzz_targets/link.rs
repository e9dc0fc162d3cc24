//! A link of a payload.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| campanile::render::promises::link(text));
