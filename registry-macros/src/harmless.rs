//! The event after a mistake: a **harmless** one, so that the places that use it add no further errors.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

use crate::expand::Declaration;
use crate::file::include;

impl Declaration<'_> {
    /// The event after a mistake: it can be named and dispatched, but the build fails anyway.
    pub(crate) fn harmless(&self) -> TokenStream {
        let campanile = self.campanile();
        let ident = &self.item.input.ident;
        let mut generics = self.item.input.generics.clone();
        if !generics.params.is_empty() {
            let bounds = parse_quote!(Self: ::core::marker::Send + ::core::marker::Sync + 'static);
            generics.make_where_clause().predicates.push(bounds);
        }
        let (parameters, arguments, bounds) = generics.split_for_impl();
        let serde = self.is_stub().then(|| self.serde_stubs());
        let files = self
            .checked
            .files
            .iter()
            .map(|file| include(file, self.source_file));
        quote! {
            #serde
            #[automatically_derived]
            impl #parameters #campanile::event::NotifiableEvent for #ident #arguments #bounds {
                const DECLARATION: &'static #campanile::event::EventDeclaration =
                    &#campanile::event::EventDeclaration {
                        event_type: "",
                        description: "",
                        category: "",
                        aliases: &[],
                        dedup: #campanile::event::Dedup {
                            window: #campanile::event::DEFAULT_WINDOW,
                            by: &[],
                            until: #campanile::event::Until::Elapsed,
                        },
                        expires_after: ::core::option::Option::None,
                        channels: &[],
                        critical: ::core::option::Option::None,
                        fields: &[],
                        secrets: &[],
                        example: ::core::option::Option::None,
                        location: #campanile::here!(),
                        read: #campanile::event::Payload::read::<Self>,
                    };
            }
            #(const _: &::core::primitive::str = #files;)*
        }
    }

    fn serde_stubs(&self) -> TokenStream {
        let campanile = self.campanile();
        let serde = quote!(#campanile::__private::serde);
        let ident = &self.item.input.ident;
        let generics = &self.item.input.generics;
        let (parameters, arguments, bounds) = generics.split_for_impl();
        let mut with_de = generics.clone();
        with_de.params.insert(0, parse_quote!('__campanile_de));
        let (parameters_with_de, _, _) = with_de.split_for_impl();
        let serialize = (!self.item.told.serialize).then(|| {
            quote! {
                impl #parameters #serde::Serialize for #ident #arguments #bounds {
                    fn serialize<__S: #serde::Serializer>(
                        &self,
                        _: __S,
                    ) -> ::core::result::Result<__S::Ok, __S::Error> {
                        ::core::unreachable!()
                    }
                }
            }
        });
        let deserialize = (!self.item.told.deserialize).then(|| {
            quote! {
                impl #parameters_with_de #serde::Deserialize<'__campanile_de> for #ident #arguments #bounds {
                    fn deserialize<__D: #serde::Deserializer<'__campanile_de>>(
                        _: __D,
                    ) -> ::core::result::Result<Self, __D::Error> {
                        ::core::unreachable!()
                    }
                }
            }
        });
        quote!(#serialize #deserialize)
    }
}
