//! The body of a request.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| campanile_web::promises::body(bytes));
