//! The sender or recipient of a mail.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| campanile_email::promises::mailbox(text));
