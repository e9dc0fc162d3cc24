//! What a failed step of an SMTP conversation **means** for the delivery. Pure: no connection, no clock.
//!
//! The same reply means different things at different steps: `550` to `RCPT TO` is a bounce, to `MAIL FROM` a sender that
//! the server does not accept, after the message a refused content.

use campanile::delivery::{DeliveryError, ErrorClass, Verdict};

use crate::mailer::Answer;

/// How far the conversation got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Waiting for one of the connections.
    Queue,
    /// Connecting, greeting, encrypting.
    Connect,
    /// Logging in.
    Login,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`, before the message.
    Data,
    /// The message is being written, or its reply is waited for.
    Message,
}

/// What went wrong at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server replied with a refusal.
    Reply {
        /// The three digits.
        code: u16,
        /// Its words, redacted.
        text: String,
    },
    /// The connection broke, or was never made; what the system says of it.
    Broken(String),
    /// Time ran out.
    TimedOut,
    /// Server and client have no way in common: no STARTTLS, no way to log in, no UTF-8 in addresses.
    Unsupported(&'static str),
}

/// The one table of what follows from what.
pub(super) fn judge(step: Step, failure: &Failure) -> Answer {
    let error = describe(step, failure);
    match (step, failure) {
        (Step::Message, Failure::Broken(_) | Failure::TimedOut) => Verdict::unknown(error).into(),
        (_, Failure::Broken(_)) => Verdict::retry(error.with_class(ErrorClass::Connect)).into(),
        (_, Failure::TimedOut) => Verdict::retry(error.with_class(ErrorClass::Timeout)).into(),
        (Step::Recipient, Failure::Unsupported(_)) => Verdict::permanent(error).into(),
        (_, Failure::Unsupported(_)) => Verdict::misconfigured(error).into(),
        (_, Failure::Reply { code, text }) => match reply(step, *code, text) {
            Class::Retry => Verdict::retry(error).into(),
            Class::Permanent => Verdict::permanent(error).into(),
            Class::Misconfigured => Verdict::misconfigured(error).into(),
            Class::Bounced => Answer::Bounced(error.with_class(ErrorClass::Bounced)),
        },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Retry,
    Permanent,
    Misconfigured,
    Bounced,
}

fn reply(step: Step, code: u16, text: &str) -> Class {
    match (step, code, enhanced(text)) {
        // Log in first, encrypt first, these credentials are wrong (RFC 4954, section 6); the server refuses this client,
        // this login, this sender; 5.1.7 and 5.1.8 are about the sender's address (RFC 3463, section 3.2).
        (_, 530 | 534 | 535 | 538, _)
        | (Step::Queue | Step::Connect | Step::Login | Step::Sender, 500.., _)
        | (_, 500.., Some((1, 7 | 8))) => Class::Misconfigured,
        (_, ..500, _) => Class::Retry,
        (Step::Recipient | Step::Message, _, Some((1, _))) | (Step::Recipient, 550, None) => {
            Class::Bounced
        }
        // A full mailbox, a policy, a content that is refused: the address itself is good.
        (Step::Recipient | Step::Data | Step::Message, _, _) => Class::Permanent,
    }
}

/// Subject and detail of a permanent enhanced status code, `5.1.1` for example (RFC 3463).
fn enhanced(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().next()?.split('.');
    let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
    if class != "5" || numbers.next().is_some() {
        return None;
    }
    Some((subject.parse().ok()?, detail.parse().ok()?))
}

fn describe(step: Step, failure: &Failure) -> DeliveryError {
    let doing = match step {
        Step::Queue => "waiting for an SMTP connection",
        Step::Connect => "connecting to the SMTP server",
        Step::Login => "logging in to the SMTP server",
        Step::Sender => "naming the sender to the SMTP server",
        Step::Recipient => "naming the recipient to the SMTP server",
        Step::Data => "offering the message to the SMTP server",
        Step::Message => "handing the message to the SMTP server",
    };
    match failure {
        Failure::Reply { code, text } => {
            DeliveryError::new(format!("{doing}: {code} {text}")).with_status(*code)
        }
        Failure::Broken(cause) => DeliveryError::new(format!("{doing}: {cause}")),
        Failure::TimedOut => DeliveryError::new(format!("{doing}: no answer in time")),
        Failure::Unsupported(what) => DeliveryError::new(format!("{doing}: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(answer: &Answer) -> &'static str {
        match answer {
            Answer::Bounced(_) => "bounced",
            Answer::Judged(Verdict::Retry { .. }) => "retry",
            Answer::Judged(Verdict::Permanent { .. }) => "permanent",
            Answer::Judged(Verdict::Misconfigured { .. }) => "misconfigured",
            Answer::Judged(Verdict::Unknown { .. }) => "unknown",
            Answer::Judged(_) => "another",
        }
    }

    /// Step, code, what it means, the server's words.
    const REPLIES: &str = "\
        Connect 421 retry busy
        Connect 554 misconfigured no service for you
        Login 454 retry 4.7.0 temporary
        Login 534 misconfigured 5.7.9 too weak
        Login 535 misconfigured 5.7.8 bad credentials
        Sender 451 retry 4.3.0 later
        Sender 530 misconfigured 5.7.0 authentication required
        Sender 550 misconfigured 5.1.0 sender rejected
        Sender 553 misconfigured 5.7.1 not owned by user
        Recipient 421 retry closing
        Recipient 451 retry 4.7.1 greylisted
        Recipient 452 retry 4.2.2 mailbox full
        Recipient 530 misconfigured 5.7.0 must issue STARTTLS
        Recipient 550 bounced 5.1.1 no such user
        Recipient 550 bounced no such user
        Recipient 550 bounced
        Recipient 556 bounced 5.1.10 null MX
        Recipient 553 misconfigured 5.1.8 sender's domain
        Recipient 550 permanent 5.7.1 relaying denied
        Recipient 552 permanent 5.2.2 mailbox full
        Recipient 554 permanent 5.7.1 policy
        Recipient 554 permanent no
        Data 451 retry later
        Data 554 permanent no valid recipients
        Message 451 retry 4.3.0 later
        Message 550 bounced 5.1.1 no such user
        Message 550 permanent 5.7.1 looks like spam
        Message 550 permanent spam
        Message 552 permanent 5.3.4 too big";

    const STEPS: [Step; 7] = [
        Step::Queue,
        Step::Connect,
        Step::Login,
        Step::Sender,
        Step::Recipient,
        Step::Data,
        Step::Message,
    ];

    #[test]
    fn a_reply_means_what_its_step_makes_of_it() {
        for row in REPLIES.lines() {
            let mut cells = row.trim().splitn(4, ' ');
            let name = cells.next().unwrap();
            let step = STEPS.into_iter().find(|step| format!("{step:?}") == name);
            let code = cells.next().unwrap().parse().unwrap();
            let expected = cells.next().unwrap();
            let text = cells.next().unwrap_or_default().to_owned();
            let answer = judge(step.unwrap(), &Failure::Reply { code, text });
            assert_eq!(class(&answer), expected, "{row}");
            let verdict = answer.verdict();
            assert_eq!(verdict.error().unwrap().status(), Some(code), "{row}");
        }
    }

    #[test]
    fn a_lost_connection_is_unknown_only_after_the_message_was_begun() {
        for failure in [Failure::Broken("reset".into()), Failure::TimedOut] {
            for step in STEPS.into_iter().take(6) {
                assert_eq!(class(&judge(step, &failure)), "retry", "{step:?}");
            }
            assert_eq!(class(&judge(Step::Message, &failure)), "unknown");
        }
    }

    #[test]
    fn what_the_server_cannot_do_is_the_set_up_or_the_address() {
        let failure = Failure::Unsupported("no STARTTLS");
        for (step, expected) in [
            (Step::Connect, "misconfigured"),
            (Step::Login, "misconfigured"),
            (Step::Recipient, "permanent"),
        ] {
            assert_eq!(class(&judge(step, &failure)), expected);
        }
    }
}
