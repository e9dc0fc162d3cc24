//! A payload.

#![no_main]

libfuzzer_sys::fuzz_target!(|json: &str| campanile::render::promises::payload(json));
