//! A declaration is **checked**: everything about it that can be known without knowing the channels.
//!
//! Which parts a channel has is known to its const alone, so that is checked in const evaluation, by what
//! [`expand`](crate::expand) writes.

use std::collections::HashSet;

use quote::ToTokens as _;
use syn::LitStr;
use syn::ext::IdentExt as _;

use crate::channel::{Channel, Part, Template, last_name};
use crate::duration::{EXPIRES_AFTER, Purpose, WINDOW, milliseconds};
use crate::file::{self, SourceFile};
use crate::identity::{refuse_category, refuse_event_type};
use crate::item::Item;
use crate::parse::Attribute;
use crate::problem::Problems;
use crate::suggest::{did_you_mean, list};
use crate::template::{Vocabulary, mistakes};

/// The part of a dedup key that is no field: what the event is about.
pub(crate) const SUBJECT: &str = "subject";

/// What checking found out.
#[derive(Default)]
pub(crate) struct Checked {
    /// The window in milliseconds, if one is declared.
    pub(crate) window: Option<u64>,
    /// After how many milliseconds it is no longer worth sending, if that is declared.
    pub(crate) expires_after: Option<u64>,
    /// The template files that can be read: a change of theirs means to build again.
    pub(crate) files: Vec<LitStr>,
}

/// Notes everything that is wrong with the declaration.
pub(crate) fn check(
    attribute: &Attribute,
    item: &Item,
    source_file: SourceFile<'_>,
    problems: &mut Problems,
) -> Checked {
    check_identity(attribute, problems);
    check_key(attribute, item, problems);
    check_repeated_channels(attribute, problems);
    let mut checked = Checked {
        window: check_duration(attribute.window.as_ref(), WINDOW, problems),
        expires_after: check_duration(attribute.expires_after.as_ref(), EXPIRES_AFTER, problems),
        ..Checked::default()
    };
    let event = item.input.ident.unraw().to_string();
    let names: Option<Vec<String>> = item
        .fields
        .as_ref()
        .map(|fields| fields.iter().map(|field| field.name.clone()).collect());
    let vocabulary = Vocabulary {
        event: &event,
        fields: names.as_deref(),
    };
    for channel in &attribute.channels {
        for part in &channel.parts {
            let file = check_template(channel, part, vocabulary, source_file, problems);
            checked.files.extend(file);
        }
    }
    checked
}

fn check_identity(attribute: &Attribute, problems: &mut Problems) {
    let mut types = HashSet::new();
    for literal in attribute.event_type.iter().chain(&attribute.aliases) {
        let text = literal.value();
        if let Some(message) = refuse_event_type(&text) {
            problems.at(literal, message);
        } else if !types.insert(text) {
            problems.at(
                literal,
                "this is the event's type or an alias already; an alias is a type it had before",
            );
        }
    }
    if let Some(literal) = &attribute.category
        && let Some(message) = refuse_category(&literal.value())
    {
        problems.at(literal, message);
    }
}

fn check_duration(
    literal: Option<&LitStr>,
    purpose: Purpose,
    problems: &mut Problems,
) -> Option<u64> {
    let literal = literal?;
    milliseconds(&literal.value(), purpose)
        .map_err(|message| problems.at(literal, message))
        .ok()
}

fn check_key(attribute: &Attribute, item: &Item, problems: &mut Problems) {
    let mut names = HashSet::new();
    for word in attribute.by.iter().flatten() {
        let name = word.unraw().to_string();
        let is_field = item.field(&name).is_some();
        if !names.insert(name.clone()) {
            problems.at(
                word,
                format!("`{name}` is in the dedup key twice; keep one"),
            );
        } else if name == SUBJECT && is_field {
            problems.at(
                word,
                "`subject` in a dedup key is what the event is about, and the struct has a field of that name too; \
                 rename the field",
            );
        } else if let Some(fields) = &item.fields
            && !is_field
            && name != SUBJECT
        {
            let known = || {
                fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .chain([SUBJECT])
            };
            let advice = did_you_mean(&name, known())
                .unwrap_or_else(|| format!("; a dedup key may be made of {}", list(known())));
            let event = item.input.ident.unraw();
            problems.at(
                word,
                format!("`{name}` is not a field of `{event}`{advice}"),
            );
        }
    }
}

/// The same channel under two paths is found in const evaluation.
fn check_repeated_channels(attribute: &Attribute, problems: &mut Problems) {
    let mut paths = HashSet::new();
    for channel in &attribute.channels {
        if !paths.insert(channel.path.to_token_stream().to_string()) {
            let name = last_name(&channel.path);
            problems.at(
                &channel.path,
                format!("`{name}` is named twice; write all of its parts in one place"),
            );
        }
    }
}

/// Checks one template, and tells its file if it has one that can be read.
fn check_template(
    channel: &Channel,
    part: &Part,
    vocabulary: Vocabulary<'_>,
    source_file: SourceFile<'_>,
    problems: &mut Problems,
) -> Option<LitStr> {
    let owner = format!("{} of {}", part.name.unraw(), last_name(&channel.path));
    match part.template.as_ref()? {
        Template::Text(literal) => {
            for mistake in mistakes(&literal.value(), vocabulary) {
                let (line, column) = (mistake.line, mistake.column);
                let place = format!("{owner}, line {line}, column {column}");
                problems.at(literal, format!("{place}: {}", mistake.message));
            }
            None
        }
        Template::File(literal) => {
            let path = file::path(literal, source_file)?;
            let shown = path.display();
            let text = file::read(&path)
                .map_err(|message| problems.at(literal, format!("{owner}: {message}")))
                .ok()?;
            for mistake in mistakes(&text, vocabulary) {
                let (line, column) = (mistake.line, mistake.column);
                let place = format!("{shown}:{line}:{column} ({owner})");
                problems.at(literal, format!("{place}: {}", mistake.message));
            }
            Some(literal.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;

    fn refusals(arguments: TokenStream, item: TokenStream) -> Vec<String> {
        let mut problems = Problems::default();
        let attribute = crate::parse::attribute(arguments, &mut problems);
        let item = crate::item::item(item, &mut problems).unwrap();
        check(
            &attribute,
            &item,
            &|_| Some(PathBuf::from("src/events.rs")),
            &mut problems,
        );
        problems.messages()
    }

    fn role_changed() -> TokenStream {
        quote! {
            /// A member's role changed.
            struct RoleChanged {
                org_name: String,
                new_role: String,
            }
        }
    }

    #[test]
    fn a_right_declaration_passes() {
        let declared = quote! {
            "org.member.role_changed",
            category = "team",
            dedup(window = "60s", by(subject, new_role)),
            expires_after = "15m",
            channels(INBOX(title = "{{ org_name }}", body = "{{ new_role }}"), EMAIL),
            aliases("org.member.role_updated")
        };
        assert_eq!(refusals(declared, role_changed()), [""; 0]);
    }

    #[test]
    fn every_mistake_is_noted_once() {
        let declared = quote! {
            "org.member", category = "Team", dedup(window = "60", by(new_rol, new_rol)), expires_after = "0s",
            channels(INBOX(title = "{{ org }}{{ org }}", body = "{{"), INBOX), aliases("a.b.c", "a.b.c")
        };
        let refusals = refusals(declared, role_changed());
        assert_eq!(refusals.len(), 10, "{refusals:#?}");
    }

    #[test]
    fn a_template_file_is_looked_for_beside_the_source_file() {
        let declared =
            quote! { "a.b.c", category = "team", channels(INBOX(title = file("mails/title.txt"))) };
        let refusals = refusals(declared, role_changed());
        assert_eq!(refusals.len(), 1);
        assert!(
            refusals[0]
                .starts_with("title of INBOX: there is no template file src/mails/title.txt")
        );
    }

    #[test]
    fn an_item_that_can_be_no_event_is_not_searched_for_fields() {
        let declared = quote! {
            "a.b.c", category = "team", dedup(by(anything)), channels(INBOX(title = "{{ anything }}"))
        };
        assert_eq!(
            refusals(declared, quote! { #[doc = "Said."] enum A { B } }).len(),
            1
        );
    }
}
