//! The checks that only const **evaluation** can make: the parts of channels, the types of fields.
//!
//! Each check is its own const at the token to change, so that every mistake is reported at the right place.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Ident, LitStr};

use crate::channel::Channel;
use crate::check::{SUBJECT, Shown, Unquoted};
use crate::expand::{Declaration, channel_const, last_span};

impl Declaration<'_> {
    /// The checks of const evaluation, each at the token to change.
    pub(crate) fn checks(&self) -> TokenStream {
        let declare = {
            let campanile = self.campanile();
            quote!(#campanile::__private::declare)
        };
        let event_type = self.attribute.event_type.as_ref().map(LitStr::value);
        let event = event_type.unwrap_or_else(|| self.item.input.ident.to_string());
        let mut checks = TokenStream::new();
        for (i, channel) in self.attribute.channels.iter().enumerate() {
            checks.extend(self.channel_checks(&declare, &event, i, channel));
        }
        for unquoted in &self.checked.unquoted {
            let Unquoted {
                channel,
                part,
                message,
                span,
            } = unquoted;
            let channel = channel_const(*channel);
            let call = quote!(#declare::quoted(#event, #channel, #part, #message));
            checks.extend(at(*span, &call));
        }
        for shown in &self.checked.shown {
            let Shown {
                channel,
                message,
                span,
            } = shown;
            let channel = channel_const(*channel);
            let call = quote!(#declare::shows_secrets(#event, #channel, #message));
            checks.extend(at(*span, &call));
        }
        checks.extend(self.critical_check(&declare, &event));
        for word in self.attribute.by.iter().flatten() {
            checks.extend(self.key_check(&declare, &event, word));
        }
        checks
    }

    fn channel_checks(
        &self,
        declare: &TokenStream,
        event: &str,
        i: usize,
        channel: &Channel,
    ) -> TokenStream {
        let is_repeated = |i: usize| self.position(&self.attribute.channels[i].path) != Some(i);
        if is_repeated(i) {
            return TokenStream::new();
        }
        let name = channel_const(i);
        let written: Vec<String> = channel
            .parts
            .iter()
            .map(|part| part.name.unraw().to_string())
            .collect();
        let parts = channel.parts.iter().zip(&written).map(|(part, text)| {
            at(
                part.name.span(),
                &quote!(#declare::part(#event, #name, #text)),
            )
        });
        let earlier = (0..i).filter(|i| !is_repeated(*i)).map(channel_const);
        let span = last_span(&channel.path);
        let needs = at(
            span,
            &quote!(#declare::needs(#event, #name, &[#(#written),*])),
        );
        // Each pair separately: a const that does not exist silences every check that uses it.
        let distinct =
            earlier.map(|earlier| at(span, &quote!(#declare::distinct(#event, #name, #earlier))));
        quote!(#(#parts)* #needs #(#distinct)*)
    }

    fn critical_check(&self, declare: &TokenStream, event: &str) -> Option<TokenStream> {
        let path = self.foreign_critical()?;
        if self.attribute.channels.is_empty() {
            return None;
        }
        let channels = (0..self.attribute.channels.len()).map(channel_const);
        let call = quote!(#declare::critical(#event, __CAMPANILE_CRITICAL, &[#(#channels),*]));
        Some(at(last_span(path), &call))
    }

    fn key_check(&self, declare: &TokenStream, event: &str, word: &Ident) -> Option<TokenStream> {
        let name = word.unraw().to_string();
        let field = self
            .item
            .field(&name)
            .filter(|_| self.item.is_payload() && name != SUBJECT)?;
        let ty = without_self(field.ty.to_token_stream(), &self.item.input.ident);
        let call = at(
            word.span(),
            &quote!(#declare::key(#event, #name, __CAMPANILE_REFUSED)),
        );
        Some(quote! {
            const _: () = {
                use #declare::Fits as _;
                const __CAMPANILE_REFUSED: ::core::option::Option<&'static ::core::primitive::str> =
                    #declare::Key::<#ty>::REFUSED;
                #call
            };
        })
    }
}

/// A separate check, which rustc reports at this place.
fn at(span: Span, call: &TokenStream) -> TokenStream {
    let call = respanned(call.clone(), span);
    quote_spanned!(span=> const _: () = #call;)
}

fn respanned(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                let mut respanned_group =
                    Group::new(group.delimiter(), respanned(group.stream(), span));
                respanned_group.set_span(span);
                TokenTree::Group(respanned_group)
            }
            mut token => {
                token.set_span(span);
                token
            }
        })
        .collect()
}

/// The type in the form that is valid outside of the struct.
fn without_self(ty: TokenStream, ident: &Ident) -> TokenStream {
    ty.into_iter()
        .map(|token| match token {
            TokenTree::Ident(word) if word == "Self" => TokenTree::Ident(ident.clone()),
            TokenTree::Group(group) => TokenTree::Group(Group::new(
                group.delimiter(),
                without_self(group.stream(), ident),
            )),
            token => token,
        })
        .collect()
}
