//! `#[notifiable_event(..)]` declares an **event**, and refuses it at compile time if it could not be sent.
//!
//! The declaration is parsed, checked and expanded; every problem is recorded, and none keeps the next from being found. This
//! crate knows no channel by name: a channel's parts are checked in const evaluation, by `campanile::declare`.
//!
//! Use the attribute through `campanile`, which re-exports it.

mod parse;
mod entries;
mod channel;
mod item;
mod serde_attributes;
mod secret;
mod check;
mod identity;
mod duration;
mod file;
mod template;
mod names;
mod token;
mod markup;
mod expand;
mod declared;
mod evaluate;
mod harmless;
mod problem;
mod list;

use std::path::PathBuf;

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span};
use quote::quote;

use crate::problem::Problems;

/// Declares a struct as an event: a type of notification for users.
///
/// ```text
/// use campanile::channel::{EMAIL, INBOX};
/// use campanile::notifiable_event;
///
/// /// A member's role in the organization changed.
/// #[notifiable_event(
///     "org.member.role_changed",
///     category = "team",
///     dedup(window = "60s", by(subject, new_role), until = changed),
///     expires_after = "2d",
///     channels(
///         INBOX(
///             title = "Your role in {{ org_name }} changed",
///             body = "{{ actor_name }} changed your role from {{ before }} to {{ new_role }}.",
///         ),
///         EMAIL(
///             subject = "Your role is now {{ new_role }}",
///             html = file("emails/role_changed.html"),
///         ),
///     ),
///     critical = EMAIL,
///     aliases("org.member.role_updated"),
/// )]
/// pub struct RoleChanged {
///     pub org_name: String,
///     pub actor_name: String,
///     pub before: Role,
///     pub new_role: Role,
/// }
/// ```
///
/// # The struct
///
/// It has named fields, or none, and no generic parameters. Its **fields** are the payload: the keys of the stored JSON, the
/// variables of the templates, the parts of the dedup key. They may have any type that serde can write and read: enums, options,
/// structs, lists.
///
/// Its **doc comment** is the description that users read on the preferences page, so it is not optional. The lines of a
/// paragraph are joined, paragraphs stay separate.
///
/// `Serialize` and `Deserialize` are derived unless a `#[derive(..)]` *below* the attribute names them; one above it cannot be
/// seen, and would be a second implementation. serde's attributes work as usual (`default`, `with`, `deny_unknown_fields`),
/// except those that would make the keys differ from the fields' names: `rename`, `rename_all`, `alias`, `flatten`, `skip` and
/// its variants, `tag`, `untagged`, `transparent`, `into`, `from`. They are refused, and so is `#[cfg]` on a field. The types of
/// the fields may use all of them.
///
/// A field with `#[notifiable(secret)]` is **secret**: a magic link, a one-time code. Only channels that [show
/// secrets](../campanile/channel/struct.ChannelDeclaration.html#method.showing_secrets), as `EMAIL` and `PUSH` do, may use it in
/// their templates. It is stored only with the deliveries of these channels, and erased together with the content rendered from
/// it when they end. Elsewhere the field is null: in the inbox, and in the payload that channels receive. It cannot be in the
/// dedup key, and a notice of such an event without a subject is never a repeat.
///
/// # The event type
///
/// The first argument, without a key: three words joined by dots, `domain.entity.action`. A word consists of lower case letters,
/// digits and `_`, begins with a letter and has at most 64 bytes. It is the event's identity in the database, and is independent
/// of the struct's name.
///
/// # The keys
///
/// | key | | |
/// |---|---|---|
/// | `category = "team"` | required | the unit that a user mutes: one word |
/// | `channels(..)` | required | its channels, each with its templates |
/// | `dedup(window = "60s", by(subject), until = changed)` | optional, and so are all its parts | when two dispatches are one notification |
/// | `expires_after = "15m"` | optional | how long after its dispatch it is still worth sending |
/// | `critical = EMAIL` | optional | the channel that preferences cannot remove |
/// | `example = RoleChanged { .. }` | optional | an example event, with which all templates are rendered once at start-up |
/// | `aliases("former.event.type", ..)` | optional | former types, which an untyped dispatch still accepts |
///
/// ## `channels(..)`
///
/// A channel is named by its const: `EMAIL`, `campanile::channel::INBOX`, `my_crate::PIGEON`. Its parts are in parentheses. The
/// const defines which parts exist and which are required, and they are checked at compile time.
///
/// A part is a template, a string or a file: `html = file("emails/role_changed.html")`. The file is found relative to the source
/// file that names it, and changing it rebuilds the crate. Templates are [minijinja]'s, with its built-in filters, tests and
/// functions, without `include`, `extends`, `import` and macros: the layout around a text belongs to the channel. `safe` and
/// `autoescape` are not available either: the payload is data and shows as text everywhere. Templates must parse, and every
/// variable, filter, test and function in them must exist. A field that is a text, a number or a boolean has no inner fields (`{{
/// name.first }}`); the inner fields of other types are not known here, and are checked at start-up if there is an `example`. In
/// HTML a variable must be in text or in a quoted attribute: `<a href="{{ url }}">`.
///
/// ## `dedup(..)`
///
/// Within the window, two dispatches of the event to one recipient are one notification if they agree in everything that `by`
/// names: `subject` is the subject id, every other name is a field. The second is a repeat: it is not sent, and is counted as
/// `deduped` in its report. Without a subject id the whole payload takes its place, so that only an identical notice is a repeat.
/// A field that is itself called `subject` cannot be in the key unless it is renamed. Floats, lists and maps cannot be in it
/// either, even under a type alias.
///
/// The window is one or more numbers with units, as [humantime] parses them: `"60s"`, `"1h 30m"`, `"2 days"`, at most `"366d"`;
/// `"0s"` means that no dispatch is a repeat. By default, the window is 60 seconds and the key is the subject. `by(role)` does
/// not name the subject: one notification for each role. `by()` names nothing: one notification for each recipient and window,
/// whatever its subject.
///
/// With `until = changed` a window ends early when another key of the same event, subject and recipient is admitted: if a role
/// changes from guest to member and back to guest within the minute, all three are sent, and only a repeat of the last one is
/// not. It needs a field in `by(..)` that can change.
///
/// ## `expires_after`
///
/// How long after its dispatch a delivery over a remote channel is still worth sending: a one-time code is useless after ten
/// minutes. It is written like a window, from `"1ms"` to `"366d"`. By default, a delivery never expires. Inbox rows do not
/// expire.
///
/// ## `example`
///
/// An expression of the struct's type. The templates are rendered with it once at start-up, and by `assert_registry!`: a mistake
/// in an inner field (`{{ person.nam }}`) is found there and not at the first dispatch.
///
/// # Compile errors
///
/// All mistakes of an event are reported in one build, each once and at the token to change, and the places where the event is
/// used add no further errors.
///
/// # In another crate
///
/// A crate of events needs no dependency except campanile, which it may have renamed.
///
/// [humantime]: https://docs.rs/humantime/2/humantime/fn.parse_duration.html
/// [minijinja]: https://docs.rs/minijinja/3/minijinja/syntax/index.html
#[proc_macro_attribute]
pub fn notifiable_event(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let mut problems = Problems::default();
    let attribute = parse::attribute(arguments.into(), &mut problems);
    let below = proc_macro2::TokenStream::from(item);
    let Ok(item) = item::item(below.clone(), &mut problems) else {
        let wanted = "an event is declared on a struct, whose fields are its payload";
        problems.at_span(Span::call_site(), wanted);
        let errors = expand::errors(&problems);
        return quote!(#below #errors).into();
    };
    let checked = check::check(&attribute, &item, &source_file, &mut problems);
    let declaration = expand::Declaration {
        campanile: &campanile(),
        attribute: &attribute,
        item: &item,
        checked: &checked,
        problems: &problems,
        source_file: &source_file,
    };
    declaration.expand().into()
}

/// The name of campanile in the crate that declares the event.
///
/// Inside campanile it is `campanile` as well. If there is no such dependency, rustc reports it in the expanded code.
fn campanile() -> Ident {
    let name = match crate_name("campanile") {
        Ok(FoundCrate::Name(name)) => name,
        Ok(FoundCrate::Itself) | Err(_) => "campanile".to_owned(),
    };
    Ident::new(&name, Span::call_site())
}

/// The file that contains a token.
fn source_file(span: Span) -> Option<PathBuf> {
    span.unwrap().local_file()
}
