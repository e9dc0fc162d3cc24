//! Who a mail is from or to.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| campanile_email::promises::mailbox(text));
