//! A form, or the query of a URL.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| campanile_web::promises::form(bytes));
