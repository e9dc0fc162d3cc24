//! The **item** with the attribute: a struct whose fields are the payload, and whose doc comment is the description.

use proc_macro2::TokenStream;
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Data, DeriveInput, Expr, ExprLit, Fields, GenericArgument, GenericParam, Lit, Meta,
    PathArguments, Type,
};

use crate::problem::Problems;
use crate::secret::take_secret;
use crate::serde_attributes::{Told, refuse_conditions, refuse_serde, told};

/// The item on which an event is declared.
pub(crate) struct Item {
    /// The item without the refused attributes, so that they cause no further errors.
    pub(crate) input: DeriveInput,
    pub(crate) description: Option<String>,
    /// `None` if it is not a struct with named fields.
    pub(crate) fields: Option<Vec<Field>>,
    /// The serde attributes that its author has written.
    pub(crate) told: Told,
}

/// One field: a key of the payload, a variable of the templates.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) is_secret: bool,
}

impl Field {
    /// The kind of a field without inner fields, as far as the type's name shows it.
    pub(crate) fn plain(&self) -> Option<&'static str> {
        plain(&self.ty)
    }
}

fn plain(ty: &Type) -> Option<&'static str> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    if let PathArguments::AngleBracketed(arguments) = &last.arguments
        && ["Option", "Box", "Rc", "Arc"]
            .iter()
            .any(|name| last.ident == name)
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        return plain(inner);
    }
    let is_of = |names: &[&str]| names.iter().any(|name| last.ident == name);
    match () {
        () if is_of(&["String", "str", "char"]) => Some("a text"),
        () if is_of(&["bool"]) => Some("a boolean"),
        () if is_of(&[
            "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
            "f32", "f64",
        ]) =>
        {
            Some("a number")
        }
        () => None,
    }
}

impl Item {
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .flatten()
            .find(|field| field.name == name)
    }

    /// Whether it has a field of this name that is secret.
    pub(crate) fn is_secret(&self, name: &str) -> bool {
        self.field(name).is_some_and(|field| field.is_secret)
    }

    /// Whether an event can be declared on this kind of item at all.
    pub(crate) fn is_payload(&self) -> bool {
        self.fields.is_some() && self.input.generics.params.is_empty()
    }
}

/// Reads the item, and records the properties that an event cannot have.
///
/// # Errors
///
/// If it is not a struct, enum or union, for which the attribute has more specific messages.
pub(crate) fn item(tokens: TokenStream, problems: &mut Problems) -> syn::Result<Item> {
    let mut input: DeriveInput = syn::parse2(tokens)?;
    refuse_second_declaration(&mut input.attrs, problems);
    refuse_serde(&mut input.attrs, problems);
    let description = description(&input.attrs);
    if description.is_none() {
        problems.at(
            &input.ident,
            "the event has no doc comment; it is the description that users read on the preferences page, so write \
             one above: `/// Your role in an organization changed.`",
        );
    }
    refuse_generics(&input, problems);
    let fields = fields(&mut input, problems);
    Ok(Item {
        told: told(&input.attrs),
        description,
        fields,
        input,
    })
}

fn fields(input: &mut DeriveInput, problems: &mut Problems) -> Option<Vec<Field>> {
    let data = match &mut input.data {
        Data::Struct(data) => data,
        Data::Enum(data) => {
            problems.at(
                data.enum_token,
                "an event is a struct, and not an enum; declare one event for each variant",
            );
            return None;
        }
        Data::Union(data) => {
            problems.at(data.union_token, "an event is a struct, and not a union");
            return None;
        }
    };
    match &mut data.fields {
        Fields::Unit => Some(Vec::new()),
        Fields::Unnamed(fields) => {
            problems.at(
                &*fields,
                "an event's fields have names: they are the keys of its payload and the variables of its templates",
            );
            None
        }
        Fields::Named(fields) => Some(
            fields
                .named
                .iter_mut()
                .filter_map(|field| {
                    refuse_serde(&mut field.attrs, problems);
                    refuse_conditions(&mut field.attrs, problems);
                    let is_secret = take_secret(&mut field.attrs, problems);
                    Some(Field {
                        name: field.ident.as_ref()?.unraw().to_string(),
                        ty: field.ty.clone(),
                        is_secret,
                    })
                })
                .collect(),
        ),
    }
}

fn refuse_generics(input: &DeriveInput, problems: &mut Problems) {
    for parameter in &input.generics.params {
        let message = match parameter {
            GenericParam::Lifetime(_) => {
                "an event owns its fields, for it outlives the call; write `String` for `&str` and leave out the lifetime"
            }
            GenericParam::Type(_) | GenericParam::Const(_) => {
                "an event has no parameters, for its payload is also read without knowing them; declare one event for each"
            }
        };
        problems.at(parameter, message);
    }
}

fn refuse_second_declaration(attributes: &mut Vec<Attribute>, problems: &mut Problems) {
    attributes.retain(|attribute| {
        let name = attribute.path().segments.last();
        let is_second = name.is_some_and(|name| name.ident == "notifiable_event");
        if is_second {
            problems.at(
                attribute,
                "a struct is one event; declare the other on a struct of its own",
            );
        }
        !is_second
    });
}

/// The text of the doc comment: the lines of a paragraph are joined, paragraphs stay separate.
fn description(attributes: &[Attribute]) -> Option<String> {
    let mut text = String::new();
    for line in attributes.iter().filter_map(doc_lines).flat_map(|lines| {
        let lines: Vec<String> = lines.lines().map(|line| line.trim().to_owned()).collect();
        if lines.is_empty() {
            vec![String::new()]
        } else {
            lines
        }
    }) {
        if line.is_empty() {
            text.push_str("\n\n");
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(&line);
        }
    }
    let paragraphs: Vec<&str> = text
        .split("\n\n")
        .map(str::trim)
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    (!paragraphs.is_empty()).then(|| paragraphs.join("\n\n"))
}

fn doc_lines(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn read(tokens: TokenStream) -> (Item, Vec<String>) {
        let mut problems = Problems::default();
        let item = item(tokens, &mut problems).unwrap();
        (item, problems.messages())
    }

    fn refusals(tokens: &TokenStream) -> Vec<String> {
        read(quote! { #[doc = " Said."] #tokens }).1
    }

    #[test]
    fn the_doc_comment_is_the_description() {
        let (item, problems) = read(quote! {
            /// Your role in an organization
            /// changed.
            ///
            ///  Sent at once.
            #[derive(Debug)]
            /** And more.
                To the end. */
            pub struct RoleChanged;
        });
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            item.description.as_deref(),
            Some("Your role in an organization changed.\n\nSent at once. And more. To the end.")
        );
    }

    #[test]
    fn a_missing_doc_comment_is_refused_with_the_reason() {
        for undocumented in [
            quote! { struct A; },
            quote! { #[doc(hidden)] #[doc = "  "] struct A; },
        ] {
            let (_, problems) = read(undocumented);
            assert_eq!(problems.len(), 1);
            assert!(problems[0].contains("preferences page"));
        }
    }

    #[test]
    fn a_struct_with_named_fields_or_no_fields_is_a_payload() {
        let (item, _) = read(quote! { struct A { a: u8, r#type: Option<String> } });
        let names: Vec<&str> = item
            .fields
            .iter()
            .flatten()
            .map(|field| field.name.as_str())
            .collect();
        assert_eq!(names, ["a", "type"]);
        assert_eq!(refusals(&quote! { struct A; }), [""; 0]);
        assert_eq!(refusals(&quote! { struct A {} }), [""; 0]);
    }

    #[test]
    fn a_field_without_inner_fields_is_recognized_by_its_type() {
        let (item, _) = read(quote! {
            struct A { a: String, b: Option<Box<str>>, c: std::string::String, d: u32, e: bool, f: Vec<String>, g: Person }
        });
        let plain: Vec<_> = item.fields.iter().flatten().map(Field::plain).collect();
        let (text, number, boolean) = (Some("a text"), Some("a number"), Some("a boolean"));
        assert_eq!(plain, [text, text, text, number, boolean, None, None]);
    }

    #[test]
    fn every_other_item_is_refused_in_one_sentence() {
        let refused = [
            (quote! { enum A { B } }, "one event for each variant"),
            (quote! { union A { b: u8 } }, "not a union"),
            (quote! { struct A(u8); }, "fields have names"),
            (quote! { struct A<T> { b: T } }, "has no parameters"),
            (
                quote! { struct A<const N: usize> { b: u8 } },
                "has no parameters",
            ),
            (
                quote! { struct A<'a> { b: &'a str } },
                "write `String` for `&str`",
            ),
            (
                quote! { #[notifiable_event("a.b.c")] struct A; },
                "a struct is one event",
            ),
            (
                quote! { struct A { #[cfg(unix)] b: u8 } },
                "same keys in every build",
            ),
            (
                quote! { struct A { #[cfg_attr(unix, serde(default))] b: u8 } },
                "same keys in every build",
            ),
        ];
        for (tokens, part) in refused {
            let problems = refusals(&tokens);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(part), "{problems:?}");
        }
    }
}
