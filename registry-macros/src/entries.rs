//! **Entries** between commas: an error in one is recorded, and the next one is read. An entry that cannot be parsed at all ends
//! the reading.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Expr, Ident, Token, token};

use crate::list::list;
use crate::problem::Problems;

/// The keys of a list, each with its expected form, and the places where they were written.
pub(crate) struct Keys {
    known: &'static [(&'static str, &'static str)],
    pub(crate) written: BTreeMap<&'static str, Span>,
    /// Whether there was an unknown word: it may be a misspelled key, which then is not reported as missing.
    pub(crate) has_unknown: bool,
}

impl Keys {
    pub(crate) fn new(known: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            known,
            written: BTreeMap::new(),
            has_unknown: false,
        }
    }

    /// Reads a key up to its `=` or `(`. `None` if the rest of the entry should be skipped.
    pub(crate) fn read(
        &mut self,
        input: ParseStream<'_>,
        problems: &mut Problems,
    ) -> syn::Result<Option<&'static str>> {
        let word = input.call(Ident::parse_any).map_err(|error| {
            syn::Error::new(error.span(), format!("expected {}", list(self.names())))
        })?;
        let name = word.unraw().to_string();
        let Some(&(key, form)) = self.named(&name, &word, problems) else {
            return Ok(None);
        };
        if self.written.insert(key, word.span()).is_some() {
            problems.at(&word, format!("`{key}` is written twice; keep one"));
            return Ok(None);
        }
        let is_list = form.as_bytes().get(key.len()) == Some(&b'(');
        let fits = if is_list {
            input.peek(token::Paren)
        } else {
            input.peek(Token![=]) && !input.peek(Token![==])
        };
        if !fits {
            problems.at(&word, format!("write `{form}`"));
            return Ok(None);
        }
        Ok(Some(key))
    }

    /// The key with this name; an unknown name is recorded as a problem.
    fn named(
        &mut self,
        name: &str,
        word: &Ident,
        problems: &mut Problems,
    ) -> Option<&'static (&'static str, &'static str)> {
        let known = self.known;
        let find = |name: &str| known.iter().find(|(key, _)| *key == name);
        if let Some(known) = find(name) {
            return Some(known);
        }
        if let Some((channels, _)) = find("channels").filter(|_| is_const(name)) {
            problems.at(
                word,
                format!("a channel is written inside `channels(..)`: `channels({name}(..))`"),
            );
            self.written.insert(channels, word.span());
            return None;
        }
        let known = list(self.names());
        problems.at(
            word,
            format!("there is no `{name}` here; there are {known}"),
        );
        self.has_unknown = true;
        None
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.known.iter().map(|(key, _)| *key)
    }
}

/// Whether a name is written like a const.
fn is_const(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Reads entries until the end, or until one cannot be read.
pub(crate) fn entries(
    input: ParseStream<'_>,
    problems: &mut Problems,
    mut read: impl FnMut(ParseStream<'_>, &mut Problems) -> syn::Result<()>,
) -> syn::Result<()> {
    while !input.is_empty() {
        read(input, problems)?;
        if !at_end_of_entry(input) {
            return Err(input.error("a comma is missing before this"));
        }
        input.parse::<Option<Token![,]>>()?;
    }
    Ok(())
}

pub(crate) fn skip_entry(input: ParseStream<'_>) -> syn::Result<()> {
    while !at_end_of_entry(input) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

pub(crate) fn at_end_of_entry(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

/// The value after `=`.
pub(crate) fn value(input: ParseStream<'_>) -> syn::Result<Expr> {
    let equals: Token![=] = input.parse()?;
    if at_end_of_entry(input) {
        return Err(syn::Error::new_spanned(
            equals,
            "there is nothing behind this",
        ));
    }
    Ok(ungrouped(input.parse()?))
}

/// The tokens of a `macro_rules!` parameter, which are in an invisible group.
pub(crate) fn ungrouped(value: Expr) -> Expr {
    match value {
        Expr::Group(group) => ungrouped(*group.expr),
        value => value,
    }
}
