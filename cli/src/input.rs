//! Values of arguments: a **duration**, a **time**, a mail **address**, a delivery **id**, a **state**, a **class** of errors.

use std::time::Duration;

use campanile::channel::ErrorClass;
use campanile::operate::DeliveryState;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::{Span, SpanRelativeTo, Timestamp};
use url::Host;
use uuid::Uuid;

/// The maximum duration: no database supports much earlier dates.
const MAX_DURATION: Duration = Duration::from_hours(100 * 366 * 24);

/// A duration as `30d` or `12h`; a day is 24 hours.
pub(crate) fn length_of_time(text: &str) -> Result<Duration, String> {
    let refusal = || "write a duration as `30d`, `12h` or `5m`".to_owned();
    let span: Span = text.parse().map_err(|_| refusal())?;
    let age = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("a month or a year has no fixed length: {}", refusal()))?;
    let age = Duration::try_from(age).map_err(|_| "a duration cannot be negative".to_owned())?;
    if age > MAX_DURATION {
        return Err("a duration is at most 100 years".into());
    }
    Ok(age)
}

/// A time, or how long ago it was.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let age = length_of_time(text)
        .map_err(|refusal| format!("write a time as `2026-03-01T12:00:00Z`, or {refusal}"))?;
    Timestamp::now()
        .checked_sub(age)
        .map_err(|error| error.to_string())
}

/// One of the classes of errors.
pub(crate) fn error_class() -> impl TypedValueParser<Value = ErrorClass> {
    let names = ErrorClass::ALL.iter().map(|class| class.as_str());
    PossibleValuesParser::new(names).map(|name| {
        let mut all = ErrorClass::ALL.iter().copied();
        all.find(|class| class.as_str() == name)
            .expect("it is one of the names")
    })
}

/// A mail address in the form in which the email channel compares addresses: lower case, with the domain in ASCII. A name before
/// it, as in `Ada <ada@example.com>`, is removed.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let refusal = || "write a mail address as `ada@example.com`".to_owned();
    let text = text.trim_matches(' ');
    let bare = text
        .strip_suffix('>')
        .and_then(|text| text.rsplit_once('<'))
        .map_or(text, |(_, address)| address);
    let (local, domain) = bare.rsplit_once('@').ok_or_else(refusal)?;
    let is_odd =
        |letter: char| letter.is_control() || letter.is_whitespace() || "\"<>,".contains(letter);
    if local.is_empty() || bare.contains(is_odd) || domain.contains('%') {
        return Err(refusal());
    }
    match Host::parse(domain) {
        Ok(Host::Domain(domain)) => Ok(format!("{local}@{domain}").to_lowercase()),
        _ => Err(refusal()),
    }
}

/// A delivery id.
pub(crate) fn delivery_id(text: &str) -> Result<Uuid, String> {
    Uuid::parse_str(text).map_err(|error| {
        format!("it is not a delivery id: {error}; `deliveries list` shows the ids")
    })
}

/// One of the states; the error for any other value lists them.
pub(crate) fn state() -> impl TypedValueParser<Value = DeliveryState> {
    let names = DeliveryState::ALL.iter().map(|state| state.as_str());
    PossibleValuesParser::new(names).map(|name| {
        let mut all = DeliveryState::ALL.iter().copied();
        all.find(|state| state.as_str() == name)
            .expect("it is one of the names")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_how_long_ago() {
        assert_eq!(
            moment("2026-03-01T12:00:00Z").unwrap().to_string(),
            "2026-03-01T12:00:00Z"
        );
        let then = moment("2h").unwrap();
        assert_eq!(Timestamp::now().duration_since(then).as_hours(), 2);
        let refused = moment("yesterday").unwrap_err();
        assert!(refused.contains("`30d`"), "{refused}");
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("90min", 5_400),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("1d 12h", 129_600),
        ] {
            assert_eq!(
                length_of_time(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_has_one_comparable_form() {
        for (text, expected) in [
            ("ada@example.com", "ada@example.com"),
            (" Ada@Example.COM ", "ada@example.com"),
            ("Ada L <Ada@BÜCHER.example>", "ada@xn--bcher-kva.example"),
            ("jörg@example.com", "jörg@example.com"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(expected));
        }
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "ada@127.0.0.1",
            "ada@example.com\n",
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_invalid_value_is_refused_with_an_example() {
        for (text, reason) in [
            ("30", "`30d`"),
            ("", "`30d`"),
            ("soon", "`30d`"),
            ("1mo", "no fixed length"),
            ("-1h", "cannot be negative"),
            ("1h ago", "cannot be negative"),
            ("40000d", "100 years"),
        ] {
            let refusal = length_of_time(text).unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }
}
