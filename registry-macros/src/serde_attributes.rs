//! The **serde** attributes of a struct: any that keep the payload's keys equal to the field names.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Path, Token};

use crate::problem::Problems;

/// The author's serde attributes.
pub(crate) struct Told {
    /// Whether there is a `#[derive(Serialize)]`.
    pub(crate) serialize: bool,
    /// Whether there is a `#[derive(Deserialize)]`.
    pub(crate) deserialize: bool,
    /// Whether there is a `#[serde(crate = "..")]`.
    pub(crate) path: bool,
}

pub(crate) fn told(attributes: &[Attribute]) -> Told {
    let derives = derives(attributes);
    Told {
        serialize: derives
            .iter()
            .any(|path| is_serde_derive(path, "Serialize")),
        deserialize: derives
            .iter()
            .any(|path| is_serde_derive(path, "Deserialize")),
        path: names_path(attributes),
    }
}

fn derives(attributes: &[Attribute]) -> Vec<Path> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
        .filter_map(|attribute| {
            attribute
                .parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)
                .ok()
        })
        .flatten()
        .collect()
}

/// `Serialize` or `serde::Serialize`, but not `rkyv::Serialize`.
fn is_serde_derive(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name)
        && (path.segments.len() == 1
            || path.segments.iter().any(|segment| segment.ident == "serde"))
}

fn names_path(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .filter_map(|attribute| options(attribute).ok())
        .flatten()
        .any(|option| option.path().is_ident("crate"))
}

fn options(attribute: &Attribute) -> syn::Result<Punctuated<Meta, Token![,]>> {
    attribute.parse_args_with(Punctuated::parse_terminated)
}

/// Removes the serde attributes that would make the payload's keys differ from the field names.
pub(crate) fn refuse_serde(attributes: &mut Vec<Attribute>, problems: &mut Problems) {
    attributes.retain_mut(|attribute| {
        // serde itself reports what it cannot parse.
        let (true, Ok(options)) = (attribute.path().is_ident("serde"), options(attribute)) else {
            return true;
        };
        let before = options.len();
        let kept: Punctuated<Meta, Token![,]> = options
            .into_iter()
            .filter(|option| match refusal(option) {
                Some(message) => {
                    problems.at(option, message);
                    false
                }
                None => true,
            })
            .collect();
        if kept.len() == before {
            return true;
        }
        if let Meta::List(list) = &mut attribute.meta {
            list.tokens = kept.to_token_stream();
        }
        !kept.is_empty()
    });
}

fn refusal(option: &Meta) -> Option<String> {
    let name = option.path().get_ident()?.to_string();
    let why = match name.as_str() {
        "rename" | "rename_all" | "alias" => {
            "changes the keys of the payload, which are the field names; rename the field itself"
        }
        "flatten" => {
            "takes a field apart, and the keys of the payload are the field names; write its fields here"
        }
        "skip" | "skip_serializing" | "skip_serializing_if" | "skip_deserializing" => {
            "takes a field out of the payload, where the templates look for it; use an `Option`, or leave out the field"
        }
        "tag" | "content" | "untagged" | "transparent" | "into" | "from" | "try_from"
        | "remote" => {
            "changes the shape of the payload, which is an object whose keys are the field names"
        }
        _ => return None,
    };
    Some(format!("`{name}` {why}"))
}

/// Removes attributes that would make the payload differ from build to build.
pub(crate) fn refuse_conditions(attributes: &mut Vec<Attribute>, problems: &mut Problems) {
    attributes.retain(|attribute| {
        let is_condition = attribute.path().is_ident("cfg");
        let is_conditional_serde = attribute.path().is_ident("cfg_attr")
            && matches!(&attribute.meta, Meta::List(list) if mentions_serde(list.tokens.clone()));
        if is_condition || is_conditional_serde {
            problems.at(
                attribute,
                "a payload has the same keys in every build, for it is stored by one and read by another; \
                 use an `Option`, or leave out the condition",
            );
        }
        !(is_condition || is_conditional_serde)
    });
}

fn mentions_serde(tokens: TokenStream) -> bool {
    tokens
        .into_iter()
        .any(|token| matches!(token, TokenTree::Ident(word) if word == "serde"))
}

#[cfg(test)]
mod tests {
    use syn::{DeriveInput, Fields, parse_quote};

    use super::*;

    #[test]
    fn serde_attributes_that_change_the_keys_are_refused_and_removed() {
        let mut problems = Problems::default();
        let mut input: DeriveInput = parse_quote! {
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            struct A {
                #[serde(rename = "c")]
                b: u8,
                #[serde(default, skip_serializing_if = "Option::is_none")]
                d: Option<u8>,
                #[serde(flatten)]
                e: B,
                #[serde(default, with = "f")]
                f: u8,
            }
        };
        refuse_serde(&mut input.attrs, &mut problems);
        if let syn::Data::Struct(syn::DataStruct {
            fields: Fields::Named(fields),
            ..
        }) = &mut input.data
        {
            for field in &mut fields.named {
                refuse_serde(&mut field.attrs, &mut problems);
            }
        }
        let problems = problems.messages();
        assert_eq!(problems.len(), 4, "{problems:?}");
        let kept = input.to_token_stream().to_string();
        for word in ["rename", "skip_serializing_if", "flatten"] {
            assert!(!kept.contains(word), "{kept}");
        }
        for word in ["deny_unknown_fields", "default", "with"] {
            assert!(kept.contains(word), "{kept}");
        }
    }

    #[test]
    fn the_authors_own_derives_are_recognized() {
        let read = |input: DeriveInput| told(&input.attrs);
        let both = read(
            parse_quote! { #[derive(Debug, serde::Serialize)] #[derive(Deserialize)] struct A; },
        );
        assert!(both.serialize && both.deserialize && !both.path);
        let other =
            read(parse_quote! { #[derive(rkyv::Serialize)] #[serde(crate = "b")] struct A; });
        assert!(!other.serialize && other.path);
    }
}
