//! What the text of a rejection **is about**: the recipient's address, the sender, a sending limit, or only this mail.
//!
//! It reads all lines of the reply, and does not depend on the step of the conversation; the table of verdicts is in `verdict`.

/// What a rejection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The recipient's address: there is no such mailbox or domain.
    Address,
    /// The sender: our credentials, address, relaying, network or encryption, or a block list that contains us.
    Us,
    /// A sending limit.
    Quota,
    /// A policy, without saying whether it is about the sender or about this mail.
    Policy,
    /// This mail, or the mailbox of this recipient: too big, full, restricted.
    Mail,
    /// Unknown: the text does not say, and there is no enhanced code.
    Nothing,
}

/// Phrases about our sender. They outweigh a code: a server that verifies senders answers with the code of the sender's own
/// server.
const SENDER: &[&str] = &[
    "sender verif",
    "verify sender",
    "sender address",
    "sender rejected",
    "sender denied",
    "sender domain",
    "sender is not",
    "sender not",
    "invalid sender",
    "bad sender",
    "unauthorized sender",
    "from address",
    "return path",
    "callout",
];

/// Phrases about the sender, used when there is no more specific code.
const US: &[&str] = &[
    "relay",
    "blocked using",
    "blocked by",
    "is blocked",
    "block list",
    "blocklist",
    "blacklist",
    "black list",
    "denylist",
    "dnsbl",
    "spamhaus",
    "spamcop",
    "barracuda",
    "reputation",
    "your ip",
    "your host",
    "your server",
    "your network",
    "client host",
    "access denied",
    "authentication required",
    "authentication is required",
    "must authenticate",
    "not authenticated",
    "log in first",
    "login required",
    "auth required",
    "starttls",
    "helo",
    "ehlo",
    "reverse dns",
    "rdns",
    "ptr record",
    "spf",
    "dkim",
    "dmarc",
];

/// Phrases that contain one of [`US`] but are about the recipient or the content.
const NOT_US: &[&str] = &[
    "mailbox is blocked",
    "account is blocked",
    "user is blocked",
    "message is blocked",
    "content is blocked",
    "unknown in relay",
];

/// Phrases about sending limits.
const QUOTA: &[&str] = &[
    "daily limit",
    "hourly limit",
    "monthly limit",
    "sending limit",
    "message limit",
    "rate limit",
    "ratelimit",
    "sending rate",
    "limit exceeded",
    "limit reached",
    "throttl",
    "too many messages",
    "too many mails",
    "too many emails",
    "too many connections",
    "too many concurrent",
    "try again tomorrow",
    "quota",
];

/// Phrases about the recipient's own mailbox, which may have a quota too.
const MAILBOX: &[&str] = &[
    "mailbox",
    "inbox",
    "over quota",
    "overquota",
    "disk",
    "recipient",
];

/// What a reply with this text is about.
pub(super) fn subject(words: &str) -> Subject {
    let words = words.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if says(SENDER) {
        return Subject::Us;
    }
    let code = enhanced(&words);
    if let Some(subject) = code.and_then(by_code) {
        return subject;
    }
    if says(QUOTA) {
        return if says(MAILBOX) {
            Subject::Mail
        } else {
            Subject::Quota
        };
    }
    if says(US) && !says(NOT_US) {
        return Subject::Us;
    }
    match code {
        Some((_, 7, _)) => Subject::Policy,
        Some(_) => Subject::Mail,
        None => Subject::Nothing,
    }
}

/// What an enhanced status code is about, whatever its text (RFC 3463, RFC 7372, Microsoft's own).
const fn by_code(code: (u16, u16, u16)) -> Option<Subject> {
    Some(match code {
        // No such mailbox, no such domain, not an address, moved away, a domain that accepts no mail.
        (5, 1, 1 | 2 | 3 | 6 | 10) => Subject::Address,
        // Microsoft and Google: a daily limit. A mail flood; a tenant above its threshold.
        (_, 1, 90) | (_, 4, 5) | (_, 7, 28 | 705) => Subject::Quota,
        // The sender's address; credentials, encryption, our account; DKIM, SPF, reverse DNS and related checks; Microsoft's
        // banned senders and networks.
        (_, 1, 7 | 8)
        | (_, 7, 3 | 8..=11 | 13 | 14 | 20..=27 | 29 | 500..=503 | 505..=511 | 606..=799) => {
            Subject::Us
        }
        // A mailbox that is disabled or full; too big; cannot be converted. A list that accepts no mail from us, a mailbox or a
        // domain with a new owner, a restricted recipient.
        (_, 2 | 6, _) | (_, 3, 4) | (_, 7, 2 | 17..=19 | 120..=139 | 504) => Subject::Mail,
        _ => return None,
    })
}

/// The first enhanced status code, `5.1.1` for example (RFC 3463), in any of the lines.
fn enhanced(words: &str) -> Option<(u16, u16, u16)> {
    words.split_whitespace().find_map(|word| {
        let word = word.trim_matches(|letter: char| !letter.is_ascii_digit());
        let mut numbers = word.split('.');
        let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let class = match class {
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        if numbers.next().is_some() {
            return None;
        }
        Some((class, number(subject)?, number(detail)?))
    })
}

/// A number in the form of RFC 3463, without a sign and leading zeros.
fn number(digits: &str) -> Option<u16> {
    let number: u16 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is about, and the text: of Postfix, Exim, Exchange, Google, and others.
    const WORDS: &str = "\
        Us relay not permitted
        Us 5.7.1 [address]: Relay access denied
        Us 198.51.100.7 is blocked using zen.dnsbl
        Us 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using zen.spamhaus.org
        Us Verification failed for [address] Sender verify failed
        Us 5.1.1 [address]: Sender address rejected: User unknown in virtual mailbox table
        Us 5.1.8 [address]: Domain not found
        Us 5.7.26 This mail has been blocked because the sender is unauthenticated
        Us 5.7.60 SMTP; Client does not have permissions to send as this sender: sender not allowed
        Us 5.7.606 Access denied, banned sending IP
        Us Authentication required
        Us Must issue a STARTTLS command first
        Quota 5.1.90 Your message can't be sent because you've reached your daily limit
        Quota 5.4.5 Daily user sending limit exceeded
        Quota 4.7.28 Our system has detected an unusual rate of mail
        Quota Throttling failure: Daily message quota exceeded
        Quota Too many messages, slow down
        Mail 4.2.2 The mailbox is over its quota
        Mail Mailbox quota exceeded
        Mail 5.2.1 The account is disabled
        Mail 5.3.4 Message too big
        Mail 5.7.133 not authenticated senders are refused by this group
        Mail #5.1.0 Address rejected
        Mail 4.1.1 User unknown
        Address 5.1.1 [address]: User unknown in relay recipient table
        Address 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup
        Address see below 5.1.2 no such domain
        Policy 5.7.1 refused
        Policy 5.7.1 looks like spam
        Nothing no such user
        Nothing User unknown in relay recipient table
        Nothing the mailbox is blocked";

    #[test]
    fn a_reply_is_classified_by_its_codes_and_its_text() {
        for row in WORDS.lines() {
            let (expected, words) = row.trim().split_once(' ').unwrap();
            assert_eq!(format!("{:?}", subject(words)), expected, "{words}");
        }
        assert_eq!(subject(""), Subject::Nothing);
    }

    #[test]
    fn a_code_is_found_in_any_line_and_an_ip_address_is_not_a_code() {
        assert_eq!(
            enhanced("rejected\r\n(5.1.1) no such user"),
            Some((5, 1, 1))
        );
        assert_eq!(enhanced("#5.1.0 address rejected"), Some((5, 1, 0)));
        for words in [
            "",
            "198.51.100.7",
            "5.1",
            "5.1.x",
            "2.1.5 ok",
            "5.1.99999",
            "5.+1.1",
            "5.01.1",
        ] {
            assert_eq!(enhanced(words), None, "{words}");
        }
    }
}
