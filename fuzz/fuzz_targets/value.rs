//! A payload's value in a template.

#![no_main]

libfuzzer_sys::fuzz_target!(|value: &str| campanile::render::promises::value(value));
