//! What a failed step of an SMTP conversation **means** for the delivery. It is pure: no connection, no clock.
//!
//! The same reply means different things at different steps: `550 5.7.1` to `RCPT TO` is a server that does not relay for us, to
//! `MAIL FROM` a sender that it does not accept, after the message rejected content. Only a reply about the address is a bounce;
//! one without a reason is a suspicion.

use campanile::channel::{DeliveryError, ErrorClass, Verdict};

use super::reply::Subject;
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
    /// Writing the message, or waiting for the reply to it.
    Message,
}

/// What went wrong at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server replied with a rejection.
    Reply {
        /// The three digits.
        code: u16,
        /// What its text is about.
        subject: Subject,
        /// Its text, redacted and shortened.
        text: String,
    },
    /// The connection broke, or was never established; with the system's error.
    Broken(String),
    /// The step timed out.
    TimedOut,
    /// The server lacks a required feature: STARTTLS, a supported login method, UTF-8 in addresses.
    Unsupported(&'static str),
}

/// The table of failures and their verdicts.
pub(super) fn judge(step: Step, failure: &Failure) -> Answer {
    let error = describe(step, failure);
    match (step, failure) {
        (Step::Message, Failure::Broken(_) | Failure::TimedOut) => Verdict::unknown(error).into(),
        (Step::Recipient | Step::Data, Failure::Broken(_)) => {
            Verdict::retry(error.with_class(ErrorClass::Unavailable)).into()
        }
        // The mail was not mentioned yet.
        (_, Failure::Broken(_))
        | (Step::Queue | Step::Connect | Step::Login, Failure::TimedOut) => {
            Verdict::retry(error.with_class(ErrorClass::Connect)).into()
        }
        (_, Failure::TimedOut) => Verdict::retry(error.with_class(ErrorClass::Timeout)).into(),
        (Step::Recipient, Failure::Unsupported(_)) => Verdict::permanent(error).into(),
        (_, Failure::Unsupported(_)) => Verdict::misconfigured(error).into(),
        (_, Failure::Reply { code, subject, .. }) => match reply(step, *code, *subject) {
            Class::NotReady => Verdict::retry(error.with_class(ErrorClass::Connect)).into(),
            Class::Quota => Verdict::retry(error.with_class(ErrorClass::RateLimited)).into(),
            Class::Retry => Verdict::retry(error).into(),
            Class::Permanent => Verdict::permanent(error).into(),
            Class::Misconfigured => Verdict::misconfigured(error).into(),
            Class::Bounced => Answer::Bounced(error.with_class(ErrorClass::Bounced)),
            Class::Suspected => Answer::Suspected(error.with_class(ErrorClass::Bounced)),
        },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The server accepts no clients now; nothing was sent.
    NotReady,
    /// A sending limit is reached for now; nothing was sent.
    Quota,
    Retry,
    Permanent,
    Misconfigured,
    Bounced,
    Suspected,
}

const fn reply(step: Step, code: u16, subject: Subject) -> Class {
    match (step, code, subject) {
        // Log in first, encrypt first, these credentials are wrong (RFC 4954, section 6).
        (_, 530 | 534 | 535 | 538, _) => Class::Misconfigured,
        (_, _, Subject::Quota) => Class::Quota,
        (Step::Queue | Step::Connect | Step::Login, ..500, _) => Class::NotReady,
        // Some servers temporarily reject mail that they will never relay.
        (_, ..500, Subject::Us) => Class::Misconfigured,
        (_, ..500, _) => Class::Retry,
        // Too big, for example.
        (Step::Sender, _, Subject::Mail) => Class::Permanent,
        // The server rejects this client, this login, this sender. At `RCPT TO` a policy is about the sender, because the server
        // has not seen the content.
        (Step::Queue | Step::Connect | Step::Login | Step::Sender, _, _)
        | (_, _, Subject::Us)
        | (Step::Recipient, _, Subject::Policy) => Class::Misconfigured,
        (Step::Recipient | Step::Message, _, Subject::Address) => Class::Bounced,
        (Step::Recipient, 550, Subject::Nothing) => Class::Suspected,
        // A full mailbox or rejected content: the address itself is good.
        (Step::Recipient | Step::Data | Step::Message, _, _) => Class::Permanent,
    }
}

fn describe(step: Step, failure: &Failure) -> DeliveryError {
    let doing = match step {
        Step::Queue => "waiting for an SMTP connection",
        Step::Connect => "connecting to the SMTP server",
        Step::Login => "logging in to the SMTP server",
        Step::Sender => "sending `MAIL FROM` to the SMTP server",
        Step::Recipient => "sending `RCPT TO` to the SMTP server",
        Step::Data => "sending `DATA` to the SMTP server",
        Step::Message => "sending the message to the SMTP server",
    };
    match failure {
        Failure::Reply { code, text, .. } => {
            DeliveryError::new(format!("{doing}: {code} {text}")).with_status(*code)
        }
        Failure::Broken(cause) => DeliveryError::new(format!("{doing}: {cause}")),
        Failure::TimedOut => DeliveryError::new(format!("{doing}: no answer in time")),
        Failure::Unsupported(what) => DeliveryError::new(format!("{doing}: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::subject;
    use super::*;

    fn class(answer: &Answer) -> &'static str {
        match answer {
            Answer::Bounced(_) => "bounced",
            Answer::Suspected(_) => "suspected",
            Answer::Judged(verdict @ Verdict::Retry { .. }) => match verdict.error_class() {
                Some(ErrorClass::Connect) => "connect",
                Some(ErrorClass::RateLimited) => "quota",
                _ => "retry",
            },
            Answer::Judged(Verdict::Permanent { .. }) => "permanent",
            Answer::Judged(Verdict::Misconfigured { .. }) => "misconfigured",
            Answer::Judged(Verdict::Unknown { .. }) => "unknown",
            Answer::Judged(_) => "another",
        }
    }

    /// Step, code, verdict, the server's text.
    const REPLIES: &str = "\
        Connect 421 connect busy
        Connect 421 connect 4.7.0 your IP has too much mail under way
        Connect 554 misconfigured no service for you
        Connect 554 misconfigured 5.7.1 blocked using a list
        Login 454 connect 4.7.0 temporary authentication failure
        Login 534 misconfigured 5.7.9 too weak
        Login 535 misconfigured 5.7.8 bad credentials
        Sender 451 retry 4.3.0 later
        Sender 530 misconfigured 5.7.0 authentication required
        Sender 550 misconfigured 5.1.0 sender rejected
        Sender 553 misconfigured 5.7.1 not owned by user
        Sender 550 quota 5.4.5 daily sending limit exceeded
        Sender 552 permanent 5.3.4 too big
        Recipient 421 retry closing
        Recipient 450 misconfigured 4.7.25 Client host rejected: cannot find your hostname
        Recipient 451 retry 4.7.1 greylisted
        Recipient 452 retry 4.2.2 mailbox full
        Recipient 452 quota 4.7.1 too many messages from you
        Recipient 454 misconfigured 4.7.1 Relay access denied
        Recipient 530 misconfigured 5.7.0 must issue STARTTLS
        Recipient 550 bounced 5.1.1 no such user
        Recipient 550 bounced -5.1.1 no such user, see our pages
        Recipient 550 suspected no such user
        Recipient 550 suspected
        Recipient 556 bounced 5.1.10 null MX
        Recipient 553 bounced 5.1.3 bad syntax
        Recipient 550 permanent 5.1.0 rejected
        Recipient 550 misconfigured relay not permitted
        Recipient 550 misconfigured 198.51.100.7 is blocked using zen.dnsbl
        Recipient 550 misconfigured Verification failed for [address] Sender verify failed
        Recipient 553 misconfigured 5.1.8 sender's domain
        Recipient 550 misconfigured 5.7.1 relaying denied
        Recipient 554 misconfigured 5.7.1 policy
        Recipient 550 permanent 5.7.133 a group for members
        Recipient 550 quota 5.1.90 daily limit
        Recipient 552 permanent 5.2.2 mailbox full
        Recipient 554 permanent no
        Data 451 retry later
        Data 554 permanent no valid recipients
        Message 451 retry 4.3.0 later
        Message 550 bounced 5.1.1 no such user
        Message 550 quota 5.1.90 you've reached your daily limit
        Message 550 quota 5.4.5 Daily user sending limit exceeded
        Message 550 misconfigured 5.7.26 unauthenticated mail is not accepted
        Message 554 misconfigured DMARC policy of the sender
        Message 550 permanent 5.7.1 looks like spam
        Message 550 permanent spam
        Message 550 permanent no such user
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
    fn the_verdict_on_a_reply_depends_on_its_step() {
        for row in REPLIES.lines() {
            let mut cells = row.trim().splitn(4, ' ');
            let name = cells.next().unwrap();
            let step = STEPS.into_iter().find(|step| format!("{step:?}") == name);
            let code = cells.next().unwrap().parse().unwrap();
            let expected = cells.next().unwrap();
            let text = cells.next().unwrap_or_default().to_owned();
            let subject = subject(&text);
            let reply = Failure::Reply {
                code,
                subject,
                text,
            };
            let answer = judge(step.unwrap(), &reply);
            assert_eq!(class(&answer), expected, "{row}");
            let verdict = answer.verdict();
            assert_eq!(verdict.error().unwrap().status(), Some(code), "{row}");
        }
    }

    #[test]
    fn a_lost_connection_is_unknown_only_after_the_message_was_started() {
        for failure in [Failure::Broken("reset".into()), Failure::TimedOut] {
            for step in STEPS.into_iter().take(3) {
                assert_eq!(class(&judge(step, &failure)), "connect", "{step:?}");
            }
            for step in [Step::Recipient, Step::Data] {
                assert_eq!(class(&judge(step, &failure)), "retry", "{step:?}");
            }
            assert_eq!(class(&judge(Step::Message, &failure)), "unknown");
        }
    }

    #[test]
    fn a_missing_feature_of_the_server_is_a_misconfiguration_or_about_the_address() {
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
