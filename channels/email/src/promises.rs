//! The guarantees for any **external input**: property tests check them with generated input, the fuzzer with input that it
//! finds. Each function panics if a guarantee is broken.

#![allow(
    unreachable_pub,
    clippy::missing_panics_doc,
    reason = "not public API: the fuzzer is another crate, and it searches for panics"
)]

use crate::body;
use crate::mailbox::Mailbox;

/// A mailbox adds nothing to a header that contains it, and its printed form parses to the same mailbox.
pub fn mailbox(text: &str) {
    let Ok(mailbox) = text.parse::<Mailbox>() else {
        return;
    };
    let address = mailbox.address();
    assert!(address.len() <= 254);
    assert!(
        !address.contains(|character: char| {
            character.is_control()
                || character.is_whitespace()
                || matches!(character, '<' | '>' | ',')
        }),
        "{address:?}"
    );
    assert!(mailbox.domain().is_ascii(), "{address:?}");
    let printed = mailbox.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&mailbox), "{printed:?}");
    assert!(!printed.contains(char::is_control), "{printed:?}");
    let message = lettre::Message::builder()
        .from(mailbox.to_header())
        .to(mailbox.to_header())
        .subject("x")
        .body("y".to_owned())
        .expect("the message can be sent");
    let message = String::from_utf8(message.formatted()).expect("headers are ASCII");
    let (headers, _) = message.split_once("\r\n\r\n").expect("a body follows");
    let names = headers
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']));
    let mut names: Vec<_> = names
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["Content-Transfer-Encoding", "Date", "From", "Subject", "To"],
        "{headers}"
    );
}

/// Text that is derived from HTML has no control character that a terminal or mail program would interpret.
pub fn html(html: &str) {
    if let Some(text) = body::text(html) {
        let is_followed = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        assert!(!text.contains(is_followed), "{text:?}");
        assert!(!text.trim().is_empty(), "{text:?}");
    }
    let document = body::document("<x>", html);
    // A document is already complete.
    assert_eq!(body::document("y", &document), document);
}

/// A parsed wait is either the number of seconds in the header, or a date before the year 10,000.
#[cfg(feature = "resend")]
pub fn retry_after(value: &str) {
    use std::time::{Duration, SystemTime};
    const TEN_THOUSAND_YEARS: Duration = Duration::from_hours(10_000 * 366 * 24);
    let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let wait = crate::resend::retry_after::retry_after(value, now);
    let digits = value.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        assert_eq!(wait.map(|wait| wait.as_secs()), digits.parse().ok());
    } else if let Some(wait) = wait {
        assert!(wait < TEN_THOUSAND_YEARS, "{value:?}: {wait:?}");
        let names_a_month = digits.contains(|letter: char| letter.is_ascii_alphabetic());
        assert!(names_a_month, "{value:?} is not a date");
    }
}

/// For any rejection by an SMTP server, only five codes are about the address, only a bare 550 to the recipient is a suspicion,
/// and the stored text is short and contains no address and no secret.
#[cfg(feature = "smtp")]
pub fn smtp_refusal(code: u16, words: &str) {
    use crate::mailer::Answer;
    const OF_THE_ADDRESS: [&str; 5] = ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"];
    const SECRET: &str = "pa55";
    for (step, answer) in crate::smtp::judge_refusal(code, words, SECRET) {
        match &answer {
            Answer::Bounced(_) => {
                assert!(code >= 500, "{step}: {code} {words:?}");
                assert!(matches!(step, "recipient" | "message"), "{step}: {words:?}");
                let words = crate::redact::mask(words, &[SECRET]);
                let found = OF_THE_ADDRESS.iter().any(|known| words.contains(known));
                assert!(found, "{step}: {words:?}");
            }
            Answer::Suspected(_) => assert_eq!((step, code), ("recipient", 550), "{words:?}"),
            Answer::Judged(_) => {}
        }
        let verdict = answer.verdict();
        let error = verdict
            .error()
            .expect("a rejection has an error")
            .to_string();
        assert!(error.chars().count() <= 500, "{error}");
        assert!(
            !error.contains('@') && !error.contains(char::is_control),
            "{error:?}"
        );
        assert!(!error.contains(SECRET), "{error:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// The pieces of generated mailboxes.
    fn mailboxes() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "ada",
            "Ada",
            "@",
            "example.com",
            "bücher.example",
            "<",
            ">",
            "\"",
            "\\",
            " ",
            ",",
            ";",
            ".",
            "é",
            "\r\n",
            "\0",
            "\u{2028}",
            "=",
            "?",
            "=?utf-8?q?a?=",
            "(",
            ")",
            ":",
            "%",
            "+",
            "\u{202e}",
            "\t",
        ];
        let pieces = proptest::sample::select(PIECES);
        let name = proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat());
        let named = (name.clone(), any::<String>())
            .prop_map(|(name, more)| format!("{name}{more} <ada@example.com>"));
        prop_oneof![
            named,
            name.clone()
                .prop_map(|name| format!("{name} <ada@example.com>")),
            name.clone().prop_map(|name| format!("{name}@example.com")),
            name,
            any::<String>(),
        ]
    }

    /// The pieces of generated HTML.
    fn documents() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "<p>",
            "</p>",
            "<table>",
            "<tr>",
            "<td colspan=3>",
            "<td>",
            "</table>",
            "<ul>",
            "<li>",
            "<ol start=-9>",
            "<pre>",
            "<a href='https://a.example/'>",
            "</a>",
            "<img alt=x src=y>",
            "<h1>",
            "<blockquote>",
            "<!doctype html>",
            "<html>",
            "<!--",
            "-->",
            "<style>",
            "</style>",
            "<script>",
            "</script>",
            "<svg>",
            "<br>",
            "&nbsp;",
            "&#0;",
            "&#27;",
            "\u{1b}[2J",
            "\0",
            "word ",
            "\u{feff}",
            "\u{301}",
            "語",
            "<sup>2</sup>",
            "<details><summary>",
            "<b>",
            "</b>",
        ];
        let pieces = proptest::sample::select(PIECES);
        let made = proptest::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat());
        prop_oneof![made, any::<String>()]
    }

    /// The pieces of generated SMTP replies.
    #[cfg(feature = "smtp")]
    fn replies() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "5.1.1",
            "5.1.2",
            "5.1.10",
            "5.1.0",
            "5.1.90",
            "4.1.1",
            "5.7.1",
            "5.7.26",
            "4.4.5",
            "5.2.2",
            "5.01.1",
            "5..1",
            "198.51.100.7",
            "<ada@example.com>",
            "relay",
            "blocked using",
            "sender verify failed",
            "mailbox",
            "quota",
            "daily limit",
            "no such user",
            "\r\n",
            "\0",
            "\u{202e}",
            "#",
            "(",
            ")",
            ":",
            "é",
            "İ",
            "pa55",
            "pa\u{1b}55",
        ];
        let pieces = proptest::sample::select(PIECES);
        let made = proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.join(" "));
        prop_oneof![made, any::<String>()]
    }

    proptest! {
        #[test]
        fn a_printed_mailbox_parses_to_itself_and_adds_nothing_to_a_header(text in mailboxes()) {
            super::mailbox(&text);
        }

        #[test]
        fn any_html_becomes_a_document_and_text_or_nothing(html in documents()) {
            super::html(&html);
        }

        #[cfg(feature = "smtp")]
        #[test]
        fn any_rejection_by_a_server_gets_a_verdict_and_few_are_about_the_address(code in 400_u16..600, words in replies()) {
            super::smtp_refusal(code, &words);
        }

        #[cfg(feature = "resend")]
        #[test]
        fn any_retry_after_header_is_a_time_to_wait_or_ignored(value in "[0-9]{0,25}|(Sun|Mon)?,? ?[0-9]{1,2} (Nov|Feb) [0-9]{1,6} [0-9:]{0,9} (GMT|-0000|\\+9999)?|\\PC{0,20}") {
            super::retry_after(&value);
        }
    }
}
