//! The generated **declaration**: the event's const data, and its entry in the registry.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;

use crate::channel::{Channel, Part, Template};
use crate::check::SUBJECT;
use crate::expand::{Declaration, channel_const};
use crate::file::include;
use crate::parse::Attribute;

impl Declaration<'_> {
    pub(crate) fn registered(&self) -> TokenStream {
        let campanile = self.campanile();
        let ident = &self.item.input.ident;
        let declaration = self.declaration();
        quote! {
            #[automatically_derived]
            impl #campanile::event::NotifiableEvent for #ident {
                const DECLARATION: &'static #campanile::event::EventDeclaration = &#declaration;
            }
            #campanile::__private::inventory::submit! {
                #campanile::event::RegisteredEvent(
                    <#ident as #campanile::event::NotifiableEvent>::DECLARATION
                )
            }
        }
    }

    fn declaration(&self) -> TokenStream {
        let campanile = self.campanile();
        let Attribute {
            event_type,
            category,
            aliases,
            by,
            until_changed,
            channels,
            ..
        } = self.attribute;
        let description = self.item.description.as_deref().unwrap_or_default();
        let window = self.checked.window.map_or_else(
            || quote!(#campanile::event::DEFAULT_WINDOW),
            |window| quote!(::core::time::Duration::from_millis(#window)),
        );
        let expires_after = self.checked.expires_after.map_or_else(
            || quote!(::core::option::Option::None),
            |after| quote!(::core::option::Option::Some(::core::time::Duration::from_millis(#after))),
        );
        let by = by.as_ref().map_or_else(
            || vec![SUBJECT.to_owned()],
            |by| by.iter().map(|word| word.unraw().to_string()).collect(),
        );
        let channels = channels
            .iter()
            .enumerate()
            .map(|(i, channel)| self.channel(i, channel));
        let until = if until_changed.is_some() {
            quote!(#campanile::event::Until::Changed)
        } else {
            quote!(#campanile::event::Until::Elapsed)
        };
        let example = self.example();
        let critical = self.critical();
        let fields = self.item.fields.iter().flatten();
        let secrets = fields.clone().filter(|field| field.is_secret);
        let (fields, secrets) = (
            fields.map(|field| &field.name),
            secrets.map(|field| &field.name),
        );
        quote! {
            #campanile::event::EventDeclaration {
                event_type: #event_type,
                description: #description,
                category: #category,
                aliases: &[#(#aliases),*],
                dedup: #campanile::event::Dedup { window: #window, by: &[#(#by),*], until: #until },
                expires_after: #expires_after,
                channels: &[#(#channels),*],
                critical: #critical,
                fields: &[#(#fields),*],
                secrets: &[#(#secrets),*],
                example: #example,
                location: #campanile::here!(),
                read: #campanile::event::Payload::read::<Self>,
            }
        }
    }

    fn example(&self) -> TokenStream {
        let campanile = self.campanile();
        let example = self.attribute.example.as_ref();
        example.map_or_else(
            || quote!(::core::option::Option::None),
            |example| {
                quote!(::core::option::Option::Some(|| {
                    let example: Self = #example;
                    #campanile::event::Payload::example(&example)
                }))
            },
        )
    }

    fn channel(&self, i: usize, channel: &Channel) -> TokenStream {
        let campanile = self.campanile();
        let name = channel_const(i);
        let templates = channel.parts.iter().map(|Part { name, template }| {
            let part = name.unraw().to_string();
            let source = template.as_ref().map(|template| match template {
                Template::Text(text) => text.to_token_stream(),
                Template::File(file) => include(file, self.source_file),
            });
            quote!(#campanile::event::Template { part: #part, source: #source })
        });
        quote! {
            #campanile::event::ChannelUse { channel: #name, templates: &[#(#templates),*] }
        }
    }

    fn critical(&self) -> TokenStream {
        let position = self
            .attribute
            .critical
            .as_ref()
            .and_then(|path| self.position(path));
        if let Some(i) = position {
            let name = channel_const(i);
            quote!(::core::option::Option::Some(#name))
        } else if self.foreign_critical().is_some() {
            quote!(::core::option::Option::Some(__CAMPANILE_CRITICAL))
        } else {
            quote!(::core::option::Option::None)
        }
    }
}
