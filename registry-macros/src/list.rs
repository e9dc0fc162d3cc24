//! "Did you mean": the nearest name to one that is not known.

/// The end of a sentence: `` ; did you mean `x`? ``, or nothing if no name is near enough to be a slip of the pen.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, known).map(|near| format!("; did you mean `{near}`?"))
}

/// The known name most like this one, if one is near enough.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, known)| *likeness > 0.8 || is_one_slip(name, known))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known)
}

/// Whether one letter is wrong, missing, too many or in the wrong place, in a word long enough to tell: `fro` for `for`.
fn is_one_slip(name: &str, known: &str) -> bool {
    name.len() > 2 && strsim::damerau_levenshtein(name, known) == 1
}

/// Names for a sentence: `` `a`, `b`, `c` ``.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognized_and_a_stranger_is_not() {
        let known = ["org_name", "actor_name", "new_role"];
        assert_eq!(nearest("new_rol", known), Some("new_role"));
        assert_eq!(nearest("fro", ["if", "for"]), Some("for"));
        assert_eq!(nearest("colour", known), None);
    }
}
