//! What an answer of Resend's API **means** for its deliveries. It is pure: no connection, no clock.
//!
//! <https://resend.com/docs/api-reference/errors> names the errors.

use std::time::Duration;

use campanile::channel::{DeliveryError, ErrorClass, Verdict};
use serde::Deserialize;

use super::request::Form;

/// The reply to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A status, and the body as far as it could be read.
    Answered {
        status: u16,
        retry_after: Option<Duration>,
        body: Option<Vec<u8>>,
    },
    /// No connection: nothing was written.
    NotConnected(String),
    /// The request was written, but no answer arrived.
    Lost(String),
}

/// The result of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// One verdict for each mail.
    Each(Vec<Verdict>),
    /// The provider accepted none of them, and a later request may succeed.
    NoneTaken(Verdict),
    /// The provider accepted none of them and never will accept them together: sent alone, each shows whether it was the cause.
    Refused(Verdict),
    /// It is unknown which mails the provider accepted.
    Lost(Verdict),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Accepted,
    Retry,
    /// A sending limit is reached for now; nothing was sent.
    Quota,
    Permanent,
    /// The same key with a different body.
    Conflict,
    Misconfigured,
    Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    name: String,
    message: String,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct AcceptedBatch {
    data: Vec<Accepted>,
    #[serde(default)]
    errors: Vec<Invalid>,
}

#[derive(Deserialize)]
struct Invalid {
    index: usize,
    #[serde(default)]
    message: String,
}

/// The table of errors and what follows from them.
fn class(status: u16, problem: &Problem) -> Class {
    const SET_UP: [&str; 4] = [
        "missing_api_key",
        "invalid_api_key",
        "restricted_api_key",
        "invalid_from_address",
    ];
    const QUOTA: [&str; 3] = [
        "rate_limit_exceeded",
        "daily_quota_exceeded",
        "monthly_quota_exceeded",
    ];
    let name = problem.name.as_str();
    match status {
        200..=299 => Class::Accepted,
        _ if SET_UP.contains(&name) => Class::Misconfigured,
        _ if QUOTA.contains(&name) => Class::Quota,
        409 if name == "invalid_idempotent_request" => Class::Conflict,
        429 => Class::Quota,
        // Another 409, `concurrent_idempotent_requests`: an earlier attempt under this key is still running.
        408 | 409 | 425 | 500..=599 => Class::Retry,
        // A bad key, an account that may not send, a sender that is not verified, or a wrong URL of the API.
        300..=399 | 401..=405 => Class::Misconfigured,
        400..=499 if is_about_us(&problem.message) => Class::Misconfigured,
        400..=499 => Class::Permanent,
        _ => Class::Unknown,
    }
}

/// Whether the text of a `validation_error`, which has no more specific name, is about our sender or account and not about this
/// mail.
fn is_about_us(message: &str) -> bool {
    const US: [&str; 7] = [
        "`from`",
        "from address",
        "from field",
        "domain is not verified",
        "not verified",
        "api key",
        "testing emails",
    ];
    let message = message.to_lowercase();
    US.iter().any(|words| message.contains(words))
}

/// Whether the provider accepted none of the mails, whatever else went wrong.
///
/// A gateway's 502 and 504 and Cloudflare's 52x do not say what the API behind the gateway did; a 409 says that another attempt
/// may be running.
fn took_nothing(reply: &Reply) -> bool {
    match reply {
        Reply::Lost(_) => false,
        Reply::Answered { status, .. } => !matches!(status, ..300 | 409 | 502 | 504 | 520..),
        Reply::NotConnected(_) => true,
    }
}

/// The result of a request for `mails` mails; `redact` cleans the provider's text.
///
/// A mail in its own request is retried under the same key, so a "retry" verdict is always safe for it.
pub(super) fn judge(
    reply: &Reply,
    form: Form,
    mails: usize,
    redact: impl Fn(&str) -> String,
) -> Outcome {
    let verdict = verdict(reply, &redact);
    // A batch's answer is trusted less: repeating it unchanged is free, but sent as a new batch it could arrive twice.
    let says_little = matches!(
        reply,
        Reply::Answered {
            status: 408 | 500,
            ..
        }
    );
    let took_nothing = took_nothing(reply) && !(form == Form::Batch && says_little);
    if form == Form::Alone {
        return match verdict {
            Verdict::Retry { .. } | Verdict::Misconfigured { .. } if took_nothing => {
                Outcome::NoneTaken(verdict)
            }
            Verdict::Retry { error, .. } => Outcome::Each(vec![Verdict::unknown(error)]),
            _ => Outcome::Each(vec![verdict]),
        };
    }
    match (verdict, reply) {
        (
            Verdict::Accepted { .. },
            Reply::Answered {
                body: Some(body), ..
            },
        ) => each(body, mails, redact).map_or_else(|| Outcome::Lost(unreadable()), Outcome::Each),
        (Verdict::Accepted { .. }, _) => Outcome::Lost(unreadable()),
        (Verdict::Permanent { error }, _) if took_nothing => {
            Outcome::Refused(Verdict::retry(error.with_class(ErrorClass::Refused)))
        }
        (verdict, _) if took_nothing => Outcome::NoneTaken(verdict),
        (verdict, _) if verdict.error_class() == Some(ErrorClass::Conflict) => {
            Outcome::Each(vec![verdict; mails])
        }
        (verdict, _) => Outcome::Lost(verdict.error().cloned().map_or(verdict, Verdict::unknown)),
    }
}

fn unreadable() -> Verdict {
    let error = DeliveryError::new("Resend's answer to a batch is not readable");
    Verdict::unknown(error.with_class(ErrorClass::Protocol))
}

/// The verdict on a mail that is alone in its request.
fn verdict(reply: &Reply, redact: impl Fn(&str) -> String) -> Verdict {
    let (status, retry_after, body) = match reply {
        Reply::Answered {
            status,
            retry_after,
            body,
        } => (*status, *retry_after, body.as_deref()),
        Reply::NotConnected(reason) => {
            let error = DeliveryError::new(format!("no connection to Resend: {reason}"));
            return Verdict::retry(error.with_class(ErrorClass::Connect));
        }
        Reply::Lost(reason) => return Verdict::unknown(format!("no answer from Resend: {reason}")),
    };
    let problem = problem(body);
    let error = || describe(status, &problem, &redact);
    match class(status, &problem) {
        Class::Accepted => Verdict::Accepted {
            provider_id: body
                .and_then(|body| serde_json::from_slice::<Accepted>(body).ok())
                .map(|accepted| redact(&accepted.id)),
        },
        Class::Retry => Verdict::Retry {
            after: retry_after,
            error: error(),
        },
        Class::Quota => Verdict::Retry {
            after: retry_after,
            error: error().with_class(ErrorClass::RateLimited),
        },
        Class::Permanent => Verdict::permanent(error()),
        Class::Conflict => Verdict::permanent(error().with_class(ErrorClass::Conflict)),
        Class::Misconfigured => Verdict::misconfigured(error()),
        Class::Unknown => Verdict::unknown(error()),
    }
}

/// The ids of the accepted mails, in order, with gaps for the rejected ones.
fn each(body: &[u8], mails: usize, redact: impl Fn(&str) -> String) -> Option<Vec<Verdict>> {
    let AcceptedBatch { data, errors } = serde_json::from_slice(body).ok()?;
    if data.len() + errors.len() != mails {
        return None;
    }
    let mut taken = data.into_iter();
    (0..mails)
        .map(
            |index| match errors.iter().find(|invalid| invalid.index == index) {
                Some(invalid) => Some(refused_in_batch(&invalid.message, &redact)),
                None => taken.next().map(|accepted| Verdict::Accepted {
                    provider_id: Some(redact(&accepted.id)),
                }),
            },
        )
        .collect()
}

fn refused_in_batch(message: &str, redact: impl Fn(&str) -> String) -> Verdict {
    let words = redact(message);
    let error = format!("Resend refused this mail of a batch: {words}");
    if is_about_us(message) {
        Verdict::misconfigured(error)
    } else {
        Verdict::permanent(error)
    }
}

fn problem(body: Option<&[u8]>) -> Problem {
    body.and_then(|body| serde_json::from_slice(body).ok())
        .unwrap_or_default()
}

fn describe(status: u16, problem: &Problem, redact: impl Fn(&str) -> String) -> DeliveryError {
    let words = redact(&format!("{} {}", problem.name, problem.message));
    let message = match (status, words.as_str()) {
        (300..=399, _) => format!("Resend answered {status}: redirects are not followed"),
        (_, "") => format!("Resend answered {status}"),
        _ => format!("Resend answered {status}: {words}"),
    };
    DeliveryError::new(message).with_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Reply {
        Reply::Answered {
            status,
            retry_after: None,
            body: Some(body.into()),
        }
    }

    fn word(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Each(each) if matches!(each[..], [Verdict::Unknown { .. }]) => "unknown",
            Outcome::Each(_) => "each",
            Outcome::NoneTaken(Verdict::Retry { .. }) => "none taken, retry",
            Outcome::NoneTaken(_) => "none taken, misconfigured",
            Outcome::Refused(Verdict::Retry { .. }) => "refused",
            Outcome::Lost(Verdict::Unknown { .. }) => "lost, unknown",
            _ => "another",
        }
    }

    #[test]
    fn errors_of_the_account_are_distinguished_from_errors_of_a_mail() {
        for (status, name, message, expected) in [
            (
                422,
                "validation_error",
                "Invalid `to` field. The email address needs to follow the format",
                Class::Permanent,
            ),
            (
                422,
                "validation_error",
                "Invalid `from` field. The email address needs to follow the format",
                Class::Misconfigured,
            ),
            (
                400,
                "validation_error",
                "The acme.example domain is not verified",
                Class::Misconfigured,
            ),
            (
                400,
                "validation_error",
                "API key is invalid",
                Class::Misconfigured,
            ),
            (
                403,
                "validation_error",
                "You can only send testing emails to your own email address",
                Class::Misconfigured,
            ),
            (422, "invalid_from_address", "", Class::Misconfigured),
            (
                422,
                "missing_required_field",
                "Missing `subject` field",
                Class::Permanent,
            ),
            (429, "daily_quota_exceeded", "", Class::Quota),
            (403, "monthly_quota_exceeded", "", Class::Quota),
            (429, "", "", Class::Quota),
            (503, "", "", Class::Retry),
        ] {
            let problem = Problem {
                name: name.into(),
                message: message.into(),
            };
            assert_eq!(
                class(status, &problem),
                expected,
                "{status} {name}: {message}"
            );
        }
    }

    #[test]
    fn the_same_reply_means_different_things_for_a_single_mail_and_a_batch() {
        let one = r#"{"id": "a"}"#;
        let two = r#"{"data": [{"id": "a"}, {"id": "b"}]}"#;
        let three = r#"{"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}"#;
        for (reply, alone, batch) in [
            (answered(200, one), "each", "lost, unknown"),
            (answered(200, two), "each", "each"),
            (answered(200, three), "each", "lost, unknown"),
            (
                answered(401, ""),
                "none taken, misconfigured",
                "none taken, misconfigured",
            ),
            (answered(409, ""), "unknown", "lost, unknown"),
            (
                answered(409, r#"{"name": "invalid_idempotent_request"}"#),
                "each",
                "each",
            ),
            (answered(422, ""), "each", "refused"),
            (answered(429, ""), "none taken, retry", "none taken, retry"),
            (answered(500, ""), "none taken, retry", "lost, unknown"),
            (answered(502, ""), "unknown", "lost, unknown"),
            (answered(503, ""), "none taken, retry", "none taken, retry"),
            (answered(504, ""), "unknown", "lost, unknown"),
            (answered(522, ""), "unknown", "lost, unknown"),
            (answered(700, ""), "unknown", "lost, unknown"),
            (
                Reply::NotConnected("x".into()),
                "none taken, retry",
                "none taken, retry",
            ),
            (Reply::Lost("x".into()), "unknown", "lost, unknown"),
        ] {
            let judged = |form, mails| word(&judge(&reply, form, mails, ToOwned::to_owned));
            assert_eq!(judged(Form::Alone, 1), alone, "alone: {reply:?}");
            assert_eq!(judged(Form::Batch, 2), batch, "batch: {reply:?}");
        }
    }
}
