//! **Checks** everything about a declaration that can be checked without knowing the channels.
//!
//! Only a channel's const knows its parts, so they are checked in const evaluation, by code that [`expand`](crate::expand)
//! generates.

use std::collections::HashSet;

use proc_macro2::Span;
use quote::ToTokens as _;
use syn::LitStr;
use syn::ext::IdentExt as _;

use crate::channel::{Channel, Part, Template, last_name};
use crate::duration::{EXPIRES_AFTER, Purpose, WINDOW, milliseconds};
use crate::file::{self, SourceFile};
use crate::identity::{refuse_category, refuse_event_type};
use crate::item::Item;
use crate::list::list;
use crate::markup::unquoted;
use crate::names::{Role, names};
use crate::parse::Attribute;
use crate::problem::Problems;
use crate::template::{Mistake, Vocabulary, mistake, mistakes};

/// The part of a dedup key that is not a field: the subject of the event.
pub(crate) const SUBJECT: &str = "subject";

/// The results of the checks.
#[derive(Default)]
pub(crate) struct Checked {
    /// The window in milliseconds, if one is declared.
    pub(crate) window: Option<u64>,
    /// After how many milliseconds it expires, if that is declared.
    pub(crate) expires_after: Option<u64>,
    /// The readable template files: a change to them triggers a rebuild.
    pub(crate) files: Vec<LitStr>,
    /// The variables in tags outside of quotes, which are errors if the part is HTML.
    pub(crate) unquoted: Vec<Unquoted>,
    /// The secret fields in templates, which are errors if the channel stores what it shows.
    pub(crate) shown: Vec<Shown>,
}

/// A secret field in a template.
pub(crate) struct Shown {
    /// Which of the channels.
    pub(crate) channel: usize,
    /// The message, and the token to change.
    pub(crate) message: String,
    pub(crate) span: Span,
}

/// A variable in a tag outside of quotes.
pub(crate) struct Unquoted {
    /// Which of the channels.
    pub(crate) channel: usize,
    pub(crate) part: String,
    /// The message, and the token to change.
    pub(crate) message: String,
    pub(crate) span: Span,
}

/// Records every problem of the declaration.
pub(crate) fn check(
    attribute: &Attribute,
    item: &Item,
    source_file: SourceFile<'_>,
    problems: &mut Problems,
) -> Checked {
    check_identity(attribute, problems);
    check_key(attribute, item, problems);
    check_until(attribute, problems);
    check_repeated_channels(attribute, problems);
    let mut checked = Checked {
        window: check_duration(attribute.window.as_ref(), WINDOW, problems),
        expires_after: check_duration(attribute.expires_after.as_ref(), EXPIRES_AFTER, problems),
        ..Checked::default()
    };
    let event = item.input.ident.unraw().to_string();
    let field_names: Option<Vec<String>> = item
        .fields
        .as_ref()
        .map(|fields| fields.iter().map(|field| field.name.clone()).collect());
    let fields = item.fields.iter().flatten();
    let plain = fields.filter_map(|field| Some((field.name.clone(), field.plain()?)));
    let plain = plain.collect();
    let vocabulary = Vocabulary {
        event: &event,
        fields: field_names.as_deref(),
        plain: &plain,
    };
    for (i, channel) in attribute.channels.iter().enumerate() {
        for part in &channel.parts {
            if let Some(read) = read_template(channel, part, source_file, problems) {
                check_template(&read, vocabulary, problems);
                checked.unquoted.extend(find_unquoted(i, part, &read));
                checked.shown.extend(find_shown(i, item, &read));
                checked.files.extend(read.file);
            }
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
        } else if item.is_secret(&name) {
            problems.at(
                word,
                format!("`{name}` is secret, and a dedup key is kept; leave it out of `by(..)`"),
            );
        } else if let Some(fields) = &item.fields
            && !is_field
            && name != SUBJECT
        {
            let known = fields.iter().map(|field| field.name.as_str());
            let known = list(known.chain([SUBJECT]));
            let event = item.input.ident.unraw();
            problems.at(
                word,
                format!("`{name}` is not a field of `{event}`; a dedup key may be made of {known}"),
            );
        }
    }
}

/// A window that ends when the key changes needs a key that can change.
fn check_until(attribute: &Attribute, problems: &mut Problems) {
    if let Some(word) = &attribute.until_changed
        && attribute.by.iter().flatten().all(|name| name == SUBJECT)
    {
        problems.at(
            word,
            "nothing in the dedup key can change: name the field that does, `by(subject, new_role)`",
        );
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

/// A template with its location.
struct Read {
    text: String,
    literal: LitStr,
    /// The part and its channel, for messages.
    owner: String,
    /// The displayed name of the file.
    shown: Option<String>,
    file: Option<LitStr>,
}

impl Read {
    fn message(&self, mistake: &Mistake) -> String {
        let Mistake {
            line,
            column,
            message,
        } = mistake;
        let owner = &self.owner;
        match &self.shown {
            Some(file) => format!("{file}:{line}:{column} ({owner}): {message}"),
            None => format!("{owner}, line {line}, column {column}: {message}"),
        }
    }
}

fn read_template(
    channel: &Channel,
    part: &Part,
    source_file: SourceFile<'_>,
    problems: &mut Problems,
) -> Option<Read> {
    let owner = format!("{} of {}", part.name.unraw(), last_name(&channel.path));
    match part.template.as_ref()? {
        Template::Text(literal) => Some(Read {
            text: literal.value(),
            literal: literal.clone(),
            owner,
            shown: None,
            file: None,
        }),
        Template::File(literal) => {
            let path = file::path(literal, source_file)?;
            let text = file::read(&path)
                .map_err(|message| problems.at(literal, format!("{owner}: {message}")))
                .ok()?;
            Some(Read {
                text,
                literal: literal.clone(),
                owner,
                shown: Some(path.display().to_string()),
                file: Some(literal.clone()),
            })
        }
    }
}

fn check_template(read: &Read, vocabulary: Vocabulary<'_>, problems: &mut Problems) {
    for mistake in mistakes(&read.text, vocabulary) {
        problems.at(&read.literal, read.message(&mistake));
    }
}

/// Only the channel's const knows whether the part is HTML, so these are refused in const evaluation.
fn find_unquoted(channel: usize, part: &Part, read: &Read) -> Vec<Unquoted> {
    let places = unquoted(&read.text).into_iter();
    let found = places.map(|at| {
        let advice = "a variable in a tag stands between quotes, else its text could add attributes: `href=\"{{ .. }}\"`";
        Unquoted {
            channel,
            part: part.name.unraw().to_string(),
            message: read.message(&mistake(&read.text, at, advice.to_owned())),
            span: read.literal.span(),
        }
    });
    found.collect()
}

/// Only the channel's const knows whether it may show secrets, as above. The same field counts once in each template.
fn find_shown(channel: usize, item: &Item, read: &Read) -> Vec<Shown> {
    let mut seen = HashSet::new();
    let names = names(&read.text).into_iter();
    let shown = names.filter(|name| {
        name.role == Role::Variable && item.is_secret(name.text) && seen.insert(name.text)
    });
    let found = shown.map(|name| {
        let text = name.text;
        let why = format!("`{text}` is secret, and this channel keeps what it shows; leave it out");
        Shown {
            channel,
            message: read.message(&mistake(&read.text, name.at, why)),
            span: read.literal.span(),
        }
    });
    found.collect()
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
            dedup(window = "60s", by(subject, new_role), until = changed),
            expires_after = "15m",
            channels(INBOX(title = "{{ org_name }}", body = "{{ new_role }}"), EMAIL),
            aliases("org.member.role_updated")
        };
        assert_eq!(refusals(declared, role_changed()), [""; 0]);
    }

    #[test]
    fn every_mistake_is_reported_once() {
        let declared = quote! {
            "org.member", category = "Team", dedup(window = "60", by(new_rol, new_rol)), expires_after = "0s",
            channels(INBOX(title = "{{ org }}{{ org }}", body = "{{"), INBOX), aliases("a.b.c", "a.b.c")
        };
        let refusals = refusals(declared, role_changed());
        assert_eq!(refusals.len(), 10, "{refusals:#?}");
    }

    #[test]
    fn a_secret_field_is_refused_in_the_key_and_found_in_templates() {
        let arguments = quote! {
            "a.b.c", category = "account", dedup(by(subject, link)),
            channels(INBOX(title = "{{ name }}", body = "Sign in: {{ link }}, {{ link }}"), EMAIL(html = "{{ link }}"))
        };
        let item = quote! {
            /// Said.
            struct SignIn { name: String, #[notifiable(secret)] link: String }
        };
        let mut problems = Problems::default();
        let attribute = crate::parse::attribute(arguments, &mut problems);
        let item = crate::item::item(item, &mut problems).unwrap();
        let checked = check(&attribute, &item, &|_| None, &mut problems);
        let refusals = problems.messages();
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert!(refusals[0].starts_with("`link` is secret, and a dedup key is kept"));
        let shown: Vec<_> = checked.shown.iter().map(|shown| shown.channel).collect();
        assert_eq!(shown, [0, 1]);
        assert_eq!(
            checked.shown[0].message,
            "body of INBOX, line 1, column 13: `link` is secret, and this channel keeps what it shows; leave it out"
        );
    }

    #[test]
    fn a_window_that_ends_with_a_change_needs_something_that_changes() {
        for key in [
            quote!(until = changed),
            quote!(by(subject), until = changed),
        ] {
            let declared = quote! {
                "a.b.c", category = "team", dedup(#key), channels(INBOX(title = "..", body = ".."))
            };
            let refusals = refusals(declared, role_changed());
            assert_eq!(refusals.len(), 1, "{refusals:?}");
            assert!(refusals[0].contains("nothing in the dedup key can change"));
        }
    }

    #[test]
    fn a_template_file_is_searched_relative_to_the_source_file() {
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
    fn an_item_that_cannot_be_an_event_is_not_searched_for_fields() {
        let declared = quote! {
            "a.b.c", category = "team", dedup(by(anything)), channels(INBOX(title = "{{ anything }}"))
        };
        assert_eq!(
            refusals(declared, quote! { #[doc = "Said."] enum A { B } }).len(),
            1
        );
    }
}
