//! **Expands** a declaration to the struct, its const data, its entry in the registry, and the checks of const evaluation.
//!
//! After a mistake, the struct is kept and is still an event, so that call sites add no further errors. It is not registered
//! then, and declares nothing.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::{Ident, Path, parse_quote};

use crate::check::Checked;
use crate::file::SourceFile;
use crate::item::Item;
use crate::parse::Attribute;
use crate::problem::Problems;

/// A declaration that was read and checked.
pub(crate) struct Declaration<'a> {
    /// The path of campanile in the crate that declares the event.
    pub(crate) campanile: &'a Ident,
    pub(crate) attribute: &'a Attribute,
    pub(crate) item: &'a Item,
    pub(crate) checked: &'a Checked,
    pub(crate) problems: &'a Problems,
    pub(crate) source_file: SourceFile<'a>,
}

impl Declaration<'_> {
    pub(crate) fn expand(&self) -> TokenStream {
        let item = self.item();
        let errors = errors(self.problems);
        let channels = self.channel_consts();
        let checks = self.checks();
        let event = if self.problems.is_empty() {
            self.registered()
        } else {
            self.harmless()
        };
        quote! {
            #item
            #errors
            const _: () = {
                #channels
                #event
                #checks
            };
        }
    }

    pub(crate) fn campanile(&self) -> TokenStream {
        let name = self.campanile;
        quote!(::#name)
    }

    /// The struct, with those serde derives that its author has not written.
    fn item(&self) -> TokenStream {
        let input = &self.item.input;
        if self.is_stub() {
            return input.to_token_stream();
        }
        let campanile = self.campanile();
        let mut derives = Vec::new();
        if !self.item.told.serialize {
            derives.push(quote!(#campanile::__private::serde::Serialize));
        }
        if !self.item.told.deserialize {
            derives.push(quote!(#campanile::__private::serde::Deserialize));
        }
        let derive = (!derives.is_empty()).then(|| quote!(#[derive(#(#derives),*)]));
        let mut input = input.clone();
        if !self.item.told.path {
            // Also with the author's own derives: the crate may use serde only through campanile.
            let path = format!("::{}::__private::serde", self.campanile);
            input.attrs.push(parse_quote!(#[serde(crate = #path)]));
        }
        quote!(#derive #input)
    }

    /// One const for each channel: each path is emitted once, so that a path that does not exist is one error.
    fn channel_consts(&self) -> TokenStream {
        let campanile = self.campanile();
        let channels = self.attribute.channels.iter().enumerate();
        let consts = channels.map(|(i, channel)| {
            let name = channel_const(i);
            let value = match self.position(&channel.path) {
                Some(first) if first < i => channel_const(first).to_token_stream(),
                _ => reference(&channel.path),
            };
            quote!(const #name: &#campanile::channel::ChannelDeclaration = #value;)
        });
        let critical = self.foreign_critical().map(|path| {
            let value = reference(path);
            quote!(const __CAMPANILE_CRITICAL: &#campanile::channel::ChannelDeclaration = #value;)
        });
        quote!(#(#consts)* #critical)
    }

    /// The critical channel's path, if it differs from the paths of the channels.
    pub(crate) fn foreign_critical(&self) -> Option<&Path> {
        let path = self.attribute.critical.as_ref()?;
        self.position(path).is_none().then_some(path)
    }

    /// The index of the first channel with this path.
    pub(crate) fn position(&self, path: &Path) -> Option<usize> {
        let channels = &self.attribute.channels;
        channels
            .iter()
            .position(|channel| is_same(&channel.path, path))
    }

    /// Whether the item was refused for a shape that serde would refuse too, or derive with its own bounds.
    pub(crate) fn is_stub(&self) -> bool {
        !self.item.is_payload()
    }
}

/// The problems, for rustc to report.
///
/// As statements: next to an error that is an item, rustc does not report names that it cannot resolve.
pub(crate) fn errors(problems: &Problems) -> Option<TokenStream> {
    let errors = problems.to_compile_errors();
    (!problems.is_empty()).then(|| quote!(const _: () = { #errors };))
}

pub(crate) fn channel_const(i: usize) -> Ident {
    format_ident!("__CAMPANILE_CHANNEL_{i}")
}

fn reference(path: &Path) -> TokenStream {
    let and = quote_spanned!(last_span(path)=> &);
    quote!(#and #path)
}

pub(crate) fn last_span(path: &Path) -> Span {
    path.segments
        .last()
        .map_or_else(Span::call_site, |segment| segment.ident.span())
}

fn is_same(left: &Path, right: &Path) -> bool {
    left.to_token_stream().to_string() == right.to_token_stream().to_string()
}
