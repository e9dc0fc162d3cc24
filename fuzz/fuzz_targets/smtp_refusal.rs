//! What an SMTP server says when it refuses.

#![no_main]

libfuzzer_sys::fuzz_target!(|refusal: (u16, &str)| {
    let (code, words) = refusal;
    // Three digits, and a refusal: the SMTP library reads nothing else as one.
    campanile_email::promises::smtp_refusal(400 + code % 200, words);
});
