//! `#[notifiable_event(..)]`: an **event** is declared, and refused while compiling if it cannot be told to anybody.
//!
//! What was written is parsed, checked and expanded; on the way every problem is noted, and none stops the next from being
//! found. This crate knows no channel by name: a channel's parts are checked in const evaluation, by `campanile::declare`.
//!
//! Use it through `campanile`, which re-exports the attribute.

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

/// Declares a struct as an event: a type of thing worth telling a user.
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
/// It has named fields, or none, and no parameters. Its **fields** are the payload: the keys of the JSON that is stored, the
/// variables of the templates, the parts of the dedup key. They are whatever serde can write and read: enums, options,
/// structs, lists.
///
/// Its **doc comment** is the description that users read on the preferences page, so it is not optional. The lines of a
/// paragraph are joined, paragraphs stay apart.
///
/// `Serialize` and `Deserialize` are derived unless a `#[derive(..)]` *below* the attribute names them; one above it cannot
/// be seen, and would be a second implementation. serde's attributes work as ever (`default`, `with`,
/// `deny_unknown_fields`), except those by which the keys would no longer be the fields' names: `rename`, `rename_all`,
/// `alias`, `flatten`, `skip` and its kin, `tag`, `untagged`, `transparent`, `into`, `from`. They are refused, and so is
/// `#[cfg]` on a field. The types of the fields may use them all.
///
/// A field with `#[notifiable(secret)]` is **secret**: a magic link, a one-time code. Only channels that
/// [show secrets](../campanile/channel/struct.ChannelDeclaration.html#method.showing_secrets), as `EMAIL` and `PUSH` do, may use
/// it in their templates. It is kept nowhere but with the deliveries of these channels, and erased with what was rendered of
/// it when they end. Elsewhere the field is null: in the inbox, in what channels receive as the payload. It cannot be in the
/// dedup key, and a notice of such an event that names no subject is never a repeat.
///
/// # The event type
///
/// Written first, without a key: three words joined by dots, `domain.entity.action`. A word is lower case letters, digits and
/// `_`, begins with a letter and has at most 64 bytes. It is the event's identity in the database, and does not follow the
/// struct's name.
///
/// # The keys
///
/// | key | | |
/// |---|---|---|
/// | `category = "team"` | required | what a user mutes as a bundle: one word |
/// | `channels(..)` | required | the channels it goes to, each with its templates |
/// | `dedup(window = "60s", by(subject), until = changed)` | optional, and all in it are | when two are one notification |
/// | `expires_after = "15m"` | optional | how long after its dispatch it is still worth sending |
/// | `critical = EMAIL` | optional | the channel that preferences cannot remove |
/// | `example = RoleChanged { .. }` | optional | one such event, with which all templates are rendered once at start-up |
/// | `aliases("former.event.type", ..)` | optional | types it had before, which the untyped door still accepts |
///
/// ## `channels(..)`
///
/// A channel is named by its const: `EMAIL`, `campanile::channel::INBOX`, `my_crate::PIGEON`. In parentheses stand its
/// parts. Which there are and which it needs is said by the const, and is checked while compiling.
///
/// A part is a template, a string or a file: `html = file("emails/role_changed.html")`. The file is found relative to the
/// source file that names it, and changing it builds the crate again. Templates are [minijinja]'s, with its built-in
/// filters, tests and functions, without `include`, `extends`, `import` and macros: the layout around a text belongs to the
/// channel. Nor are there `safe` and `autoescape`: the payload is data and shows as text everywhere. Templates must parse,
/// and every variable, filter, test and function in them must exist. A field that is a text, a number or a boolean has
/// nothing inside (`{{ name.first }}`); what is inside another one is not known here, and is checked at start-up where there
/// is an `example`. In HTML a variable stands in text or in an attribute between quotes: `<a href="{{ url }}">`.
///
/// ## `dedup(..)`
///
/// Within the window, two dispatches of the event to one recipient are one notification if they agree in everything that
/// `by` names: `subject` is the subject id, every other name a field. The second is a repeat: it is told to nobody, and
/// counted as `deduped` in its report. Without a subject id the whole payload takes its place, so that only the very same
/// notice is a repeat. A field that is itself called `subject` cannot be in the key, and must be renamed to be. Floats,
/// lists and maps cannot be in it either, whatever their type is called.
///
/// The window is a number and a unit, or several, as [humantime] reads them: `"60s"`, `"1h 30m"`, `"2 days"`, at most `"366d"`;
/// `"0s"` means that nothing is ever a repeat. Left out, the window is 60 seconds and the key is the subject. `by(role)` does not name the subject: one
/// notification for each role. `by()` names nothing: one notification for each recipient and window, whatever it is about.
///
/// With `until = changed` a window ends before its time when another key of the same event, subject and recipient is
/// admitted: of a role that goes from guest to member and back to guest within the minute, all three are told, and a repeat
/// of the last one is not. It needs a field in `by(..)` that can change.
///
/// ## `expires_after`
///
/// How long after its dispatch a delivery over a remote channel is still worth sending: a one-time code is not, after ten
/// minutes. Written like a window, from `"1ms"` to `"366d"`. Left out, a delivery is worth sending however late it is.
/// Inbox rows do not expire.
///
/// ## `example`
///
/// An expression of the struct's type. The templates are rendered with it once at start-up, and by `assert_registry!`: a
/// mistake in what is inside a field (`{{ person.nam }}`) is found there and not at the first dispatch.
///
/// # Errors while compiling
///
/// All mistakes of an event are reported in one build, each once and at the token to change, and the places where the event
/// is used add none of their own.
///
/// # In another crate
///
/// A crate of events needs no dependency but campanile, which it may have renamed.
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

/// What the crate that declares the event calls campanile.
///
/// Inside campanile it is `campanile` as well. If there is no such dependency, rustc says so at what is expanded.
fn campanile() -> Ident {
    let name = match crate_name("campanile") {
        Ok(FoundCrate::Name(name)) => name,
        Ok(FoundCrate::Itself) | Err(_) => "campanile".to_owned(),
    };
    Ident::new(&name, Span::call_site())
}

/// The file in which a token stands.
fn source_file(span: Span) -> Option<PathBuf> {
    span.unwrap().local_file()
}
