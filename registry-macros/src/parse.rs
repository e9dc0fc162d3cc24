//! **Parses** the attribute's arguments; [`check`](crate::check) decides whether they make sense.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, Token, parenthesized};

use crate::channel::{Channel, channel};
use crate::entries::{Keys, entries, skip_entry, value};
use crate::problem::Problems;

/// The arguments of `#[notifiable_event(..)]`.
#[derive(Default)]
pub(crate) struct Attribute {
    pub(crate) event_type: Option<LitStr>,
    pub(crate) category: Option<LitStr>,
    pub(crate) window: Option<LitStr>,
    pub(crate) by: Option<Vec<Ident>>,
    /// The word of `until = changed`.
    pub(crate) until_changed: Option<Ident>,
    pub(crate) expires_after: Option<LitStr>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) critical: Option<Path>,
    /// An expression of the struct's type.
    pub(crate) example: Option<Expr>,
    pub(crate) aliases: Vec<LitStr>,
}

const KEYS: [(&str, &str); 7] = [
    ("category", "category = \"team\""),
    ("dedup", "dedup(window = \"60s\", by(subject))"),
    ("expires_after", "expires_after = \"15m\""),
    ("channels", "channels(INBOX(title = \"..\", body = \"..\"))"),
    ("critical", "critical = EMAIL"),
    ("example", "example = RoleChanged { .. }"),
    ("aliases", "aliases(\"former.event.type\")"),
];

/// The event type has no key; this represents it among the written keys.
const TYPE: &str = "";

const DEDUP_KEYS: [(&str, &str); 3] = [
    ("window", "window = \"60s\""),
    ("by", "by(subject, new_role)"),
    ("until", "until = changed"),
];

/// Reads the arguments, and records wrong or missing ones. Arguments that cannot be parsed to their end are not checked.
pub(crate) fn attribute(arguments: proc_macro2::TokenStream, problems: &mut Problems) -> Attribute {
    let mut attribute = Attribute::default();
    let mut keys = Keys::new(&KEYS);
    let read = |input: ParseStream<'_>| {
        entries(input, problems, |input, problems| {
            if input.peek(Lit) || (input.peek(Ident::peek_any) && input.peek2(Token![.])) {
                attribute.event_type(input, &mut keys, problems)
            } else {
                attribute.entry(input, &mut keys, problems)
            }
        })
    };
    if let Err(error) = read.parse2(arguments) {
        problems.add(error);
        return Attribute::default();
    }
    if !keys.has_unknown {
        report_missing(&keys, problems);
    }
    attribute
}

impl Attribute {
    fn event_type(
        &mut self,
        input: ParseStream<'_>,
        keys: &mut Keys,
        problems: &mut Problems,
    ) -> syn::Result<()> {
        let is_first = keys.written.is_empty();
        let is_second = keys.written.insert(TYPE, input.span()).is_some();
        let Ok(literal) = input.parse::<LitStr>() else {
            let wanted = "the event type is a string: \"domain.entity.action\"";
            problems.add(input.error(wanted));
            return skip_entry(input);
        };
        if is_second {
            problems.at(
                literal,
                "an event has one type; write its former types in `aliases(\"..\")`",
            );
            return Ok(());
        }
        if !is_first {
            problems.at(
                &literal,
                "write the event type first, before everything else",
            );
        }
        self.event_type = Some(literal);
        Ok(())
    }

    fn entry(
        &mut self,
        input: ParseStream<'_>,
        keys: &mut Keys,
        problems: &mut Problems,
    ) -> syn::Result<()> {
        let Some(key) = keys.read(input, problems)? else {
            return skip_entry(input);
        };
        match key {
            "category" => {
                let wanted = "a category is a string: \"team\"";
                self.category = text(input, problems, wanted)?;
            }
            "critical" => self.critical = path(input, problems)?,
            "example" => self.example = Some(value(input)?),
            "aliases" => self.aliases.extend(aliases(input, problems)?),
            "dedup" => self.dedup(input, problems)?,
            "expires_after" => {
                let wanted = "a time is a string with its unit: \"15m\", \"2h\"";
                self.expires_after = text(input, problems, wanted)?;
            }
            _ => self.channels(input, problems)?,
        }
        Ok(())
    }

    fn dedup(&mut self, input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<()> {
        let content;
        parenthesized!(content in input);
        let mut keys = Keys::new(&DEDUP_KEYS);
        entries(&content, problems, |input, problems| {
            match keys.read(input, problems)? {
                None => skip_entry(input)?,
                Some("window") => {
                    let wanted = "a window is a string with its unit: \"60s\", \"15m\"";
                    self.window = text(input, problems, wanted)?;
                }
                Some("until") => self.until_changed = changed(input, problems)?,
                Some(_) => self.by = Some(fields(input, problems)?),
            }
            Ok(())
        })
    }

    fn channels(&mut self, input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<()> {
        let content;
        let parentheses = parenthesized!(content in input);
        let before = self.channels.len();
        entries(&content, problems, |input, problems| {
            self.channels.push(channel(input, problems)?);
            Ok(())
        })?;
        if self.channels.len() == before {
            problems.at_span(
                parentheses.span.join(),
                "an event goes to at least one channel: INBOX(title = \"..\", body = \"..\")",
            );
        }
        Ok(())
    }
}

fn report_missing(keys: &Keys, problems: &mut Problems) {
    let place = keys
        .written
        .get(TYPE)
        .copied()
        .unwrap_or_else(Span::call_site);
    let mut report = |key, message| {
        if !keys.written.contains_key(key) {
            problems.at_span(place, message);
        }
    };
    report(
        TYPE,
        "the event has no type; write it first: \"domain.entity.action\"",
    );
    report(
        "category",
        "the event has no category, which is what a user mutes as a bundle; add `category = \"team\"`",
    );
    report(
        "channels",
        "the event goes to no channel; add `channels(INBOX(title = \"..\", body = \"..\"))`",
    );
}

/// The value after `=`, if it is a string.
fn text(
    input: ParseStream<'_>,
    problems: &mut Problems,
    wanted: &str,
) -> syn::Result<Option<LitStr>> {
    match value(input)? {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(Some(text)),
        other => {
            problems.at(other, wanted);
            Ok(None)
        }
    }
}

/// The value after `=`, if it is a path.
fn path(input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<Option<Path>> {
    match value(input)? {
        Expr::Path(path) if path.qself.is_none() => Ok(Some(path.path)),
        other => {
            problems.at(
                other,
                "one channel can be critical, and it is named by its const: `critical = EMAIL`",
            );
            Ok(None)
        }
    }
}

/// The value after `=`, if it is the word `changed`.
fn changed(input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<Option<Ident>> {
    let value = value(input)?;
    if let Expr::Path(word) = &value
        && let Some(word) = word.path.get_ident()
        && word == "changed"
    {
        return Ok(Some(word.clone()));
    }
    problems.at(
        value,
        "a window ends after its time, or before it with another key of the same subject: write `until = changed`, \
         or leave it out",
    );
    Ok(None)
}

fn aliases(input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<Vec<LitStr>> {
    let content;
    parenthesized!(content in input);
    let mut aliases = Vec::new();
    entries(&content, problems, |input, _| {
        let wanted = "an alias is a former event type, as a string: \"domain.entity.action\"";
        let alias = input
            .parse()
            .map_err(|error: syn::Error| syn::Error::new(error.span(), wanted))?;
        aliases.push(alias);
        Ok(())
    })?;
    Ok(aliases)
}

fn fields(input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<Vec<Ident>> {
    let content;
    parenthesized!(content in input);
    let mut fields = Vec::new();
    entries(&content, problems, |input, _| {
        let wanted = "expected the name of a field, without quotes, or `subject`";
        let field = input
            .call(Ident::parse_any)
            .map_err(|error| syn::Error::new(error.span(), wanted))?;
        fields.push(field);
        Ok(())
    })?;
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::channel::{Template, last_name};

    fn read(arguments: proc_macro2::TokenStream) -> (Attribute, Vec<String>) {
        let mut problems = Problems::default();
        let attribute = attribute(arguments, &mut problems);
        (attribute, problems.messages())
    }

    #[test]
    fn every_argument_is_read() {
        let (attribute, problems) = read(quote! {
            "org.member.role_changed",
            category = "team",
            dedup(window = "60s", by(subject, r#type), until = changed),
            expires_after = "15m",
            channels(INBOX(title = "a", body = file("b")), ::my::PIGEON(), EMAIL),
            critical = crate::EMAIL,
            example = RoleChanged { r#type: "a".into() },
            aliases("a.b.c", "d.e.f"),
        });
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            attribute.event_type.map(|text| text.value()).as_deref(),
            Some("org.member.role_changed")
        );
        assert_eq!(
            attribute.category.map(|text| text.value()).as_deref(),
            Some("team")
        );
        assert_eq!(
            attribute.window.map(|text| text.value()).as_deref(),
            Some("60s")
        );
        assert_eq!(attribute.by.map(|by| by.len()), Some(2));
        assert!(attribute.until_changed.is_some());
        assert_eq!(
            attribute.expires_after.map(|text| text.value()).as_deref(),
            Some("15m")
        );
        let channels: Vec<String> = attribute
            .channels
            .iter()
            .map(|channel| last_name(&channel.path))
            .collect();
        assert_eq!(channels, ["INBOX", "PIGEON", "EMAIL"]);
        assert!(matches!(
            attribute.channels[0].parts[1].template,
            Some(Template::File(_))
        ));
        assert_eq!(
            attribute.critical.map(|path| last_name(&path)).as_deref(),
            Some("EMAIL")
        );
        assert!(matches!(attribute.example, Some(Expr::Struct(_))));
        assert_eq!(attribute.aliases.len(), 2);
    }

    #[test]
    fn all_missing_arguments_are_reported_at_once() {
        assert_eq!(read(quote!()).1.len(), 3);
        assert_eq!(read(quote!("a.b.c", channels(INBOX))).1.len(), 1);
    }

    #[test]
    fn an_unknown_key_is_one_mistake_and_not_also_a_missing_key() {
        let (attribute, problems) = read(quote!(
            "a.b.c",
            categry = "team",
            expire_after = "15m",
            channels(INBOX)
        ));
        assert_eq!(problems.len(), 2, "{problems:?}");
        for problem in problems {
            assert!(
                problem.contains("; there are `category`, `dedup`, "),
                "{problem}"
            );
        }
        assert_eq!(attribute.channels.len(), 1);
    }

    #[test]
    fn a_mistake_in_one_entry_does_not_hide_the_next() {
        let (attribute, problems) = read(quote!(
            "a.b.c",
            category = 5,
            dedup(window = 60),
            channels(INBOX(title = ..)),
            critical = a + b
        ));
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert_eq!(attribute.channels.len(), 1);
    }

    #[test]
    fn an_argument_that_cannot_be_parsed_is_one_mistake_and_ends_the_reading() {
        let forgotten = [
            quote!("a.b.c" category = "team"),
            quote!("a.b.c", channels(INBOX(title = "a" body = "b"))),
        ];
        let unreadable = [
            quote!("a.b.c", dedup(by(1), window = )),
            quote!("a.b.c", category = ),
            quote!("a.b.c", channels(5, EMAIL + 1)),
            quote!("a.b.c", channels(EMAIL + 1)),
            quote!("a.b.c", aliases(5)),
        ];
        for arguments in forgotten.iter().chain(&unreadable) {
            let (attribute, problems) = read(arguments.clone());
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(attribute.event_type.is_none() && attribute.channels.is_empty());
        }
        for arguments in forgotten {
            assert_eq!(read(arguments).1, ["a comma is missing before this"]);
        }
    }

    #[test]
    fn a_part_with_an_unreadable_template_counts_as_written() {
        let (attribute, problems) = read(quote!(
            "a.b.c",
            category = "team",
            channels(INBOX(title, body = 5))
        ));
        assert_eq!(problems.len(), 2);
        assert_eq!(attribute.channels[0].parts.len(), 2);
    }
}
