//! **Scrubs** the texts of providers: a provider may repeat in its error what it was sent, and the error is stored.

use crate::channel::delivery::{Delivery, Verdict};

/// The replacement for a secret.
const MASK: &str = "[secret]";

/// Shorter pieces of a secret are ordinary words that reveal nothing alone.
const MIN_PIECE: usize = 6;

/// Masks in a text every hidden value, the longer pieces of each (an encoded link repeats its pieces), and a truncated secret at
/// the end of the text.
pub(crate) fn scrub(text: &str, hidden: &[String]) -> String {
    if hidden.is_empty() {
        return text.to_owned();
    }
    let is_between = |c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_');
    let pieces = hidden
        .iter()
        .flat_map(|text| text.split(is_between))
        .filter(|piece| piece.len() >= MIN_PIECE);
    let mut all: Vec<&str> = hidden.iter().map(String::as_str).chain(pieces).collect();
    // The longest ones first: one may be part of another.
    all.sort_by_key(|text| std::cmp::Reverse(text.len()));
    all.dedup();
    let whole = all
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, MASK));
    let end = whole.trim_end_matches(['\u{2026}', '.']);
    let cut = all.iter().filter_map(|secret| beginning(end, secret)).max();
    match cut {
        Some(length) => format!("{}{MASK}", &end[..end.len() - length]),
        None => whole,
    }
}

/// How many bytes of a secret's beginning, but not all of it, are at the end of a text.
fn beginning(text: &str, secret: &str) -> Option<usize> {
    let max_length = secret.len().saturating_sub(1).min(text.len());
    let mut lengths = (MIN_PIECE..=max_length).rev();
    lengths.find(|length| secret.is_char_boundary(*length) && text.ends_with(&secret[..*length]))
}

/// The verdicts of a call without the hidden values of their deliveries.
pub(crate) fn scrub_verdicts(verdicts: Vec<Verdict>, batch: &[Delivery]) -> Vec<Verdict> {
    let hidden = batch.iter().flat_map(|delivery| &*delivery.past.hidden);
    let hidden: Vec<String> = hidden.cloned().collect();
    if hidden.is_empty() {
        return verdicts;
    }
    let scrubbed = verdicts.into_iter().map(|verdict| match verdict {
        Verdict::Accepted { provider_id } => Verdict::Accepted {
            provider_id: provider_id.map(|id| scrub(&id, &hidden)),
        },
        other => other.map_error(|error| error.map_message(|message| scrub(message, &hidden))),
    });
    scrubbed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str, hidden: &[&str]) -> String {
        let hidden: Vec<String> = hidden.iter().map(ToString::to_string).collect();
        scrub(text, &hidden)
    }

    #[test]
    fn an_error_that_repeats_a_secret_is_stored_without_it() {
        let hidden = ["https://app.example/in?token=a1b2c3d4-e5&v=2", "123456"];
        let refused = "bad link https://app.example/in?token=a1b2c3d4-e5&v=2 (in%3Ftoken%3Da1b2c3d4-e5), code 123456";
        assert_eq!(
            without(refused, &hidden),
            "bad link [secret] (in%3Ftoken%3D[secret]), code [secret]"
        );
        assert_eq!(without("550 no such user", &hidden), "550 no such user");
    }

    #[test]
    fn a_shorter_piece_of_a_secret_does_not_keep_a_longer_one_from_being_masked() {
        let link = "https://acme.example/signin?signin=signin-9f8e7d6c5b4a3210";
        let quoted = without("see signin%3Dsignin-9f8e7d6c5b4a3210", &[link]);
        assert_eq!(quoted, "see [secret]%3D[secret]");
    }

    #[test]
    fn the_beginning_of_a_secret_at_the_end_of_a_cut_text_is_masked() {
        let link = "https://app.example/in?token=a1b2c3d4e5f6";
        for cut in [
            "no page: https://app.example/in?token=a1b2c3",
            "no page: token%3Da1b2c3d4e5\u{2026}",
        ] {
            let kept = without(cut, &[link]);
            assert!(!kept.contains("a1b2c3"), "{kept}");
            assert!(kept.starts_with("no page: "), "{kept}");
        }
        assert_eq!(without("550 https", &[link]), "550 https");
    }
}
