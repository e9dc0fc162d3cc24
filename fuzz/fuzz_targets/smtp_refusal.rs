//! A rejection by an SMTP server.

#![no_main]

libfuzzer_sys::fuzz_target!(|refusal: (u16, &str)| {
    let (code, words) = refusal;
    // Three digits that mean a rejection: the SMTP library accepts no others as one.
    campanile_email::promises::smtp_refusal(400 + code % 200, words);
});
