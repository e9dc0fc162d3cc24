//! A field is **secret** by `#[notifiable(secret)]`: a magic link, a one-time code. It is shown where it is sent, and stored
//! nowhere else.

use syn::{Attribute, Ident};

use crate::problem::Problems;

const FORM: &str = "write `#[notifiable(secret)]`, which is all that can be said of a field here";

/// Removes `#[notifiable(secret)]` from a field's attributes, and returns whether it was there.
pub(crate) fn take_secret(attributes: &mut Vec<Attribute>, problems: &mut Problems) -> bool {
    let mut is_secret = false;
    attributes.retain(|attribute| {
        if !attribute.path().is_ident("notifiable") {
            return true;
        }
        match attribute.parse_args::<Ident>() {
            Ok(word) if word == "secret" && !is_secret => is_secret = true,
            Ok(word) if word == "secret" => problems.at(word, "this is said twice; keep one"),
            Ok(word) => problems.at(word, FORM),
            Err(_) => problems.at(attribute, FORM),
        }
        false
    });
    is_secret
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn read(mut attributes: Vec<Attribute>) -> (bool, usize, Vec<String>) {
        let mut problems = Problems::default();
        let is_secret = take_secret(&mut attributes, &mut problems);
        (is_secret, attributes.len(), problems.messages())
    }

    #[test]
    fn the_attribute_is_removed_and_the_others_stay() {
        let (is_secret, others, problems) = read(vec![
            parse_quote!(#[doc = " The link."]),
            parse_quote!(#[notifiable(secret)]),
        ]);
        assert!(is_secret);
        assert_eq!((others, problems.len()), (1, 0));
        assert!(!read(vec![parse_quote!(#[serde(default)])]).0);
    }

    #[test]
    fn any_other_form_is_refused_with_the_right_form() {
        for wrong in [
            parse_quote!(#[notifiable]),
            parse_quote!(#[notifiable()]),
            parse_quote!(#[notifiable(secrt)]),
            parse_quote!(#[notifiable(secret, default)]),
            parse_quote!(#[notifiable = "secret"]),
        ] {
            let (is_secret, others, problems) = read(vec![wrong]);
            assert!(!is_secret);
            assert_eq!((others, problems), (0, vec![FORM.to_owned()]));
        }
        let twice = parse_quote!(#[notifiable(secret)]);
        let (is_secret, _, problems) = read(vec![parse_quote!(#[notifiable(secret)]), twice]);
        assert!(is_secret);
        assert_eq!(problems, ["this is said twice; keep one"]);
    }
}
