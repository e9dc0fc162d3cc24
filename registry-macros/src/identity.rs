//! The **identity** of an event: a type of three words joined by dots, and a category of one word.

use crate::list::list;

const MAX_WORD: usize = 64;

/// The problem with an event type or an alias, if any.
pub(crate) fn refuse_event_type(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split('.').collect();
    if words.len() == 3 && words.iter().all(|word| is_word(word)) {
        return None;
    }
    let slips = [':', '/', '-', ' '].iter().any(|slip| text.contains(*slip));
    let repaired = repaired(text, if text.contains('.') { "_" } else { "." });
    let advice = match repaired.split('.').count() {
        3 if repaired.split('.').all(is_word) => format!("did you mean \"{repaired}\"?"),
        _ if slips || words.iter().any(|word| !is_word(word)) => WORDS.to_owned(),
        count => format!(
            "it has {count} {}: {}",
            if count == 1 { "word" } else { "words" },
            list(words)
        ),
    };
    Some(format!(
        "`{text}` is not an event type, which is three words joined by dots, \"domain.entity.action\"; {advice}"
    ))
}

/// The problem with a category, if any.
pub(crate) fn refuse_category(text: &str) -> Option<String> {
    if is_word(text) {
        return None;
    }
    let repaired = repaired(text, "_");
    let advice = if is_word(&repaired) {
        format!("did you mean \"{repaired}\"?")
    } else {
        WORDS.to_owned()
    };
    Some(format!(
        "`{text}` is not a category, which is one word; {advice}"
    ))
}

const WORDS: &str =
    "a word is lower case letters, digits and `_`, begins with a letter and has at most 64 bytes";

fn is_word(word: &str) -> bool {
    word.len() <= MAX_WORD
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The same with lower case letters and without foreign separators: `Org:Member` and `orgMember` become two words.
fn repaired(text: &str, separator: &str) -> String {
    let mut repaired = String::new();
    let mut previous = ' ';
    for c in text.trim().chars() {
        if c.is_ascii_uppercase() && (previous.is_ascii_lowercase() || previous.is_ascii_digit()) {
            repaired.push('_');
        }
        match c {
            ':' | '/' | '-' | ' ' => repaired.push_str(separator),
            c => repaired.push(c.to_ascii_lowercase()),
        }
        previous = c;
    }
    repaired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_is_three_words() {
        for text in [
            "org.member.role_changed",
            "a.b.c",
            "billing2.invoice.past_due",
        ] {
            assert_eq!(refuse_event_type(text), None);
        }
        let longest = "x".repeat(64);
        assert_eq!(refuse_event_type(&format!("{longest}.b.c")), None);
        assert!(refuse_event_type(&format!("{longest}x.b.c")).is_some());
    }

    #[test]
    fn an_invalid_event_type_is_refused_with_advice() {
        let advice = [
            (
                "Org.Member.RoleChanged",
                "did you mean \"org.member.role_changed\"?",
            ),
            (
                "org.member.role-changed",
                "did you mean \"org.member.role_changed\"?",
            ),
            ("org:member:joined", "did you mean \"org.member.joined\"?"),
            ("org.member", "it has 2 words: `org`, `member`"),
            ("org", "it has 1 word: `org`"),
            ("org.member.role.changed", "it has 4 words"),
            ("", "begins with a letter"),
            ("org..joined", "begins with a letter"),
            ("org.member.2fa", "begins with a letter"),
            ("org.member.größe", "lower case letters"),
        ];
        for (text, part) in advice {
            let refusal = refuse_event_type(text).unwrap_or_default();
            assert!(refusal.contains(part), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_category_is_one_word() {
        assert_eq!(refuse_category("team"), None);
        assert!(
            refuse_category("Team")
                .is_some_and(|refusal| refusal.contains("did you mean \"team\"?"))
        );
        assert!(refuse_category("my team").is_some_and(|refusal| refusal.contains("\"my_team\"")));
        assert!(refuse_category("team.roles").is_some_and(|refusal| refusal.contains("one word")));
        assert!(refuse_category("").is_some());
    }
}
