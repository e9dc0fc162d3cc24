//! "Did you mean": the nearest name to one that is not known.

/// A longer name is not compared: no known name is that long.
const MAX_NAME: usize = 256;

/// A name from outside, fit for a message: short, and without control characters.
pub(crate) fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(MAX_NAME).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

/// The candidate most similar to `name`, if it is similar enough for a typo.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// The same as the end of a sentence: `` ; did you mean `x`? `` or nothing.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_recognized() {
        let known = ["org.member.role_changed", "org.invitation.sent"];
        assert_eq!(
            nearest("org.member.role_change", known),
            Some("org.member.role_changed")
        );
    }

    #[test]
    fn a_name_like_no_other_suggests_nothing() {
        assert_eq!(nearest("zzz", ["org.member.role_changed"]), None);
        assert_eq!(did_you_mean("zzz", ["abc"]), "");
    }
}
