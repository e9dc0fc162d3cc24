//! **Redacts** external texts before they are logged or stored: a server may repeat an address or a secret in its answer.

/// The maximum length of a text that is stored or logged, in characters.
const MAX_CHARACTERS: usize = 300;

/// The text on one line, shortened, with every secret and every word that contains an `@` masked.
pub(crate) fn redact(text: &str, secrets: &[&str]) -> String {
    mask(text, secrets).chars().take(MAX_CHARACTERS).collect()
}

/// The same at full length.
pub(crate) fn mask(text: &str, secrets: &[&str]) -> String {
    let shown = |text: &str| text.replace(|c: char| c.is_control() && !c.is_whitespace(), "");
    // Control characters first: one inside a secret or an address would hide it.
    let mut text = shown(text);
    let secrets = secrets.iter().map(|secret| shown(secret));
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        text = text.replace(&secret, "[secret]");
    }
    let words = text.split_whitespace().map(|word| {
        if word.contains('@') {
            "[address]"
        } else {
            word
        }
    });
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_secrets_are_masked() {
        assert_eq!(
            redact(
                "5.1.1 <ada@example.com>:\r\n  Recipient\0 rejected, key re_123.",
                &["re_123", ""]
            ),
            "5.1.1 [address] Recipient rejected, key [secret]."
        );
        assert_eq!(redact(&"x".repeat(1_000), &[]).len(), 300);
    }

    #[test]
    fn a_control_character_cannot_hide_a_secret() {
        assert_eq!(redact("key re_\u{1b}123\0", &["re_123"]), "key [secret]");
        assert_eq!(redact("key re_123", &["re_\u{1b}123"]), "key [secret]");
    }
}
