//! A **channel** of an event: the path of its const, and a template for each part.

use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, Token, parenthesized, token};

use crate::entries::{at_end_of_entry, entries, skip_entry, ungrouped, value};
use crate::problem::Problems;

/// `EMAIL(subject = "..", html = file(".."))`.
pub(crate) struct Channel {
    pub(crate) path: Path,
    pub(crate) parts: Vec<Part>,
}

/// `subject = ".."`.
pub(crate) struct Part {
    pub(crate) name: Ident,
    /// `None` if it is something else; the part counts as written anyway.
    pub(crate) template: Option<Template>,
}

/// Where a template's text is.
pub(crate) enum Template {
    Text(LitStr),
    /// Relative to the source file.
    File(LitStr),
}

pub(crate) fn channel(input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<Channel> {
    if input.peek(Lit) {
        return Err(input.error(
            "a channel is named by its const, without quotes: EMAIL, INBOX, my_crate::PIGEON",
        ));
    }
    let path = input.call(Path::parse_mod_style).map_err(|error| {
        syn::Error::new(
            error.span(),
            "expected a channel: EMAIL(subject = \"..\", html = \"..\")",
        )
    })?;
    let mut parts: Vec<Part> = Vec::new();
    if input.peek(token::Paren) {
        let content;
        parenthesized!(content in input);
        entries(&content, problems, |input, problems| {
            let part = part(input, problems)?;
            if parts.iter().any(|other| other.name == part.name) {
                let name = part.name.unraw();
                problems.at(&part.name, format!("`{name}` is written twice; keep one"));
            } else {
                parts.push(part);
            }
            Ok(())
        })?;
    } else if !at_end_of_entry(input) {
        let name = last_name(&path);
        return Err(input.error(format!("expected the channel's parts: `{name}(..)`")));
    }
    Ok(Channel { path, parts })
}

fn part(input: ParseStream<'_>, problems: &mut Problems) -> syn::Result<Part> {
    let name = input.call(Ident::parse_any).map_err(|error| {
        syn::Error::new(
            error.span(),
            "expected a part and its template: subject = \"..\"",
        )
    })?;
    let wanted = format!(
        "a template is a string or a file beside this source file: `{0} = \"..\"` or `{0} = file(\"..\")`",
        name.unraw()
    );
    if !input.peek(Token![=]) || input.peek(Token![==]) {
        problems.at(&name, &wanted);
        skip_entry(input)?;
        return Ok(Part {
            name,
            template: None,
        });
    }
    let value = value(input)?;
    let place = value.to_token_stream();
    let template = template(value);
    if template.is_none() {
        problems.at(place, wanted);
    }
    Ok(Part { name, template })
}

fn template(value: Expr) -> Option<Template> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(Template::Text(text)),
        Expr::Call(mut call) if call.args.len() == 1 && is_file(&call.func) => {
            match ungrouped(call.args.pop()?) {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(path),
                    ..
                }) => Some(Template::File(path)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_file(function: &Expr) -> bool {
    matches!(function, Expr::Path(function) if function.path.is_ident("file"))
}

/// The last segment of a path, which messages use to name a channel.
pub(crate) fn last_name(path: &Path) -> String {
    path.segments
        .last()
        .map_or_else(String::new, |segment| segment.ident.unraw().to_string())
}
