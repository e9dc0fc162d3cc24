//! A **duration** as an event's author writes it: a number and a unit. Each message is in the words of what it is for.

/// What a duration is for, and the words of its messages.
#[derive(Clone, Copy)]
pub(crate) struct Purpose {
    noun: &'static str,
    example: &'static str,
    /// In milliseconds.
    shortest: u64,
    /// What comes of `"0s"`, to follow it in a sentence.
    zero: &'static str,
}

/// In which time two dispatches are one notification.
pub(crate) const WINDOW: Purpose = Purpose {
    noun: "window",
    example: "60s",
    shortest: 0,
    zero: "means that nothing is ever a repeat",
};

/// How long after its dispatch an event is still worth sending.
pub(crate) const EXPIRES_AFTER: Purpose = Purpose {
    noun: "time",
    example: "15m",
    shortest: 1,
    zero: "would mean that nothing is ever sent",
};

/// The longest of either, as `campanile::event::MAX_WINDOW` has it; a UI test holds the two together.
const LONGEST: u64 = 366 * 24 * 60 * 60 * 1_000;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// The duration in milliseconds, or what is wrong with it.
pub(crate) fn milliseconds(text: &str, purpose: Purpose) -> Result<u64, String> {
    let Purpose {
        noun,
        example,
        shortest,
        zero,
    } = purpose;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(not_a_number(text, purpose));
    }
    if unit.is_empty() {
        return Err(format!(
            "`{text}` has no unit; write \"{text}s\" for seconds (units are ms, s, m, h and d)"
        ));
    }
    let Some((_, factor)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        return Err(unknown_unit(text, number, unit, noun));
    };
    let duration = number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(*factor))
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| format!("`{text}` is too long; the longest {noun} is \"366d\""))?;
    if duration < shortest {
        return Err(format!(
            "`{text}` {zero}; write \"{example}\" for example, or leave it out"
        ));
    }
    Ok(duration)
}

fn not_a_number(text: &str, purpose: Purpose) -> String {
    let Purpose {
        noun,
        example,
        zero,
        ..
    } = purpose;
    if text.starts_with('-') {
        return format!(
            "`{text}` is negative; a {noun} is \"{example}\" for example, and \"0s\" {zero}"
        );
    }
    format!(
        "`{text}` is not a {noun}; write a whole number and a unit, \"{example}\" for example (ms, s, m, h or d)"
    )
}

fn unknown_unit(text: &str, number: &str, unit: &str, noun: &str) -> String {
    if unit.starts_with('.') {
        return format!("`{text}` is not a whole number; write \"90m\" and not \"1.5h\"");
    }
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "msec" | "millis" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return format!("`{text}` is not a {noun}; its unit must be ms, s, m, h or d"),
    };
    format!("`{text}` is not a {noun}; did you mean \"{number}{meant}\"?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let known = [
            ("0s", 0),
            ("250ms", 250),
            ("60s", 60_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("366d", LONGEST),
        ];
        for (text, expected) in known {
            assert_eq!(milliseconds(text, WINDOW), Ok(expected));
        }
    }

    #[test]
    fn everything_else_is_refused_with_advice() {
        let advice = [
            ("60", "write \"60s\""),
            ("", "is not a window"),
            ("-5s", "is negative"),
            ("1.5h", "not a whole number"),
            ("60 s", "did you mean \"60s\"?"),
            ("60sec", "did you mean \"60s\"?"),
            ("5min", "did you mean \"5m\"?"),
            ("1w", "its unit must be"),
            ("367d", "the longest window is \"366d\""),
            ("99999999999999999999s", "the longest window"),
            ("18446744073709551615d", "the longest window"),
            ("s", "is not a window"),
            ("٦٠s", "is not a window"),
        ];
        for (text, part) in advice {
            let refusal = milliseconds(text, WINDOW).unwrap_err();
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn a_time_after_which_nothing_is_ever_sent_is_refused() {
        assert_eq!(milliseconds("15m", EXPIRES_AFTER), Ok(900_000));
        assert_eq!(milliseconds("1ms", EXPIRES_AFTER), Ok(1));
        assert_eq!(milliseconds("366d", EXPIRES_AFTER), Ok(LONGEST));
        let refusals = [
            (
                "0s",
                "`0s` would mean that nothing is ever sent; write \"15m\" for example, or leave it out",
            ),
            (
                "-5s",
                "`-5s` is negative; a time is \"15m\" for example, and \"0s\" would mean that nothing is ever sent",
            ),
            ("367d", "`367d` is too long; the longest time is \"366d\""),
            ("5min", "`5min` is not a time; did you mean \"5m\"?"),
        ];
        for (text, refusal) in refusals {
            assert_eq!(milliseconds(text, EXPIRES_AFTER), Err(refusal.to_owned()));
        }
    }
}
