//! A payload's value as the link of a template.

#![no_main]

libfuzzer_sys::fuzz_target!(|value: &str| campanile::render::promises::link_in_html(value));
