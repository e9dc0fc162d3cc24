//! The header `Retry-After` of a provider.

#![no_main]

libfuzzer_sys::fuzz_target!(|value: &str| campanile_email::promises::retry_after(value));
