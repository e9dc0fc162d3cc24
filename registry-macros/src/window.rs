//! The **window** of an event: a number and a unit.

/// The longest window, as `campanile::event::LONGEST_WINDOW` has it; a UI test holds the two together.
const LONGEST: u64 = 366 * 24 * 60 * 60 * 1_000;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// The window in milliseconds, or what is wrong with it.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(not_a_number(text));
    }
    if unit.is_empty() {
        return Err(format!(
            "`{text}` has no unit; write \"{text}s\" for seconds (units are ms, s, m, h and d)"
        ));
    }
    let Some((_, factor)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        return Err(unknown_unit(text, number, unit));
    };
    let window = number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(*factor));
    window
        .filter(|window| *window <= LONGEST)
        .ok_or_else(|| format!("`{text}` is too long; the longest window is \"366d\""))
}

fn not_a_number(text: &str) -> String {
    if text.starts_with('-') {
        return format!(
            "`{text}` is negative; a window is \"60s\" for example, and \"0s\" means that nothing is ever a repeat"
        );
    }
    format!(
        "`{text}` is not a window; write a whole number and a unit, \"60s\" for example (ms, s, m, h or d)"
    )
}

fn unknown_unit(text: &str, number: &str, unit: &str) -> String {
    if unit.starts_with('.') {
        return format!("`{text}` is not a whole number; write \"90m\" and not \"1.5h\"");
    }
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "msec" | "millis" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return format!("`{text}` is not a window; its unit must be ms, s, m, h or d"),
    };
    format!("`{text}` is not a window; did you mean \"{number}{meant}\"?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_number_and_a_unit() {
        let known = [
            ("0s", 0),
            ("250ms", 250),
            ("60s", 60_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("366d", LONGEST),
        ];
        for (text, expected) in known {
            assert_eq!(milliseconds(text), Ok(expected));
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
            let refusal = milliseconds(text).unwrap_err();
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
