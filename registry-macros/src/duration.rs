//! A **duration** in an attribute, `60s` or `2 days`, parsed by the crate `humantime`. Messages name the duration's purpose.

use std::time::Duration;

/// The purpose of a duration, and the words of its messages.
#[derive(Clone, Copy)]
pub(crate) struct Purpose {
    noun: &'static str,
    example: &'static str,
    /// Why a duration of zero is wrong, if it is.
    zero: Option<&'static str>,
}

/// The time in which two dispatches are one notification. With zero, no dispatch is a repeat.
pub(crate) const WINDOW: Purpose = Purpose {
    noun: "window",
    example: "60s",
    zero: None,
};

/// How long after its dispatch an event is still worth sending.
pub(crate) const EXPIRES_AFTER: Purpose = Purpose {
    noun: "time",
    example: "15m",
    zero: Some("would mean that nothing is ever sent"),
};

/// The maximum of both, equal to `campanile::event::MAX_WINDOW`; a UI test checks that they are equal.
const MAX: Duration = Duration::from_hours(366 * 24);

/// The duration in milliseconds, or the error.
pub(crate) fn milliseconds(text: &str, purpose: Purpose) -> Result<u64, String> {
    let Purpose {
        noun,
        example,
        zero,
    } = purpose;
    let duration = humantime::parse_duration(text).map_err(|error| {
        format!("`{text}` is not a {noun}: {error}; write \"{example}\" for example")
    })?;
    if duration > MAX {
        return Err(format!(
            "`{text}` is too long; the longest {noun} is \"366d\""
        ));
    }
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(format!(
            "`{text}` is finer than a millisecond; write \"{example}\" for example"
        ));
    }
    match zero.filter(|_| duration.is_zero()) {
        Some(zero) => Err(format!(
            "`{text}` {zero}; write \"{example}\" for example, or leave it out"
        )),
        None => Ok(u64::try_from(duration.as_millis()).expect("366 days are few milliseconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        let known = [
            ("0s", 0),
            ("250ms", 250),
            ("60s", 60_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("2 days", 172_800_000),
            ("1h 30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("366d", 31_622_400_000),
        ];
        for (text, expected) in known {
            assert_eq!(milliseconds(text, WINDOW), Ok(expected));
        }
    }

    #[test]
    fn an_invalid_duration_is_refused_with_advice() {
        let advice = [
            (
                "60",
                "is not a window: time unit needed, for example 60sec or 60ms; write \"60s\" for",
            ),
            ("", "is not a window: value was empty"),
            ("-5s", "is not a window: expected number at 0"),
            ("60x", "is not a window: unknown time unit \"x\""),
            ("s", "is not a window: expected number at 0"),
            ("٦٠s", "is not a window: "),
            ("99999999999999999999s", "is not a window: number is too"),
            ("18446744073709551615d", "is not a window: number is too"),
            ("367d", "the longest window is \"366d\""),
            ("1500us", "is finer than a millisecond"),
        ];
        for (text, part) in advice {
            let refusal = milliseconds(text, WINDOW).unwrap_err();
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn an_expiry_of_zero_is_refused() {
        assert_eq!(milliseconds("15m", EXPIRES_AFTER), Ok(900_000));
        assert_eq!(milliseconds("1ms", EXPIRES_AFTER), Ok(1));
        let refusals = [
            (
                "0s",
                "`0s` would mean that nothing is ever sent; write \"15m\" for example, or leave it out",
            ),
            (
                "-5s",
                "`-5s` is not a time: expected number at 0; write \"15m\" for example",
            ),
            ("367d", "`367d` is too long; the longest time is \"366d\""),
        ];
        for (text, refusal) in refusals {
            assert_eq!(milliseconds(text, EXPIRES_AFTER), Err(refusal.to_owned()));
        }
    }
}
