//! Checks a **declaration** at compile time: an event's parts against its channels' consts, its dedup key by type.
//!
//! Not public API: [`notifiable_event`](crate::notifiable_event) writes the calls, each at the token it is about. A panic
//! here is a compile error there, so every message is in the words of the event's author.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;

use crate::channel::{ChannelDeclaration, Form, Need, Part, same};

/// Refuses a part that the channel does not know.
///
/// # Panics
///
/// While compiling, if it is unknown.
#[track_caller]
pub const fn part(event: &str, channel: &ChannelDeclaration, part: &str) {
    if knows(channel.parts(), part) {
        return;
    }
    refuse(
        &Message::about(event)
            .text("channel ")
            .name(channel.name())
            .text(" has no part ")
            .name(part)
            .text("; its parts are ")
            .parts(channel.parts()),
    );
}

/// Refuses an unquoted variable in an HTML tag.
///
/// # Panics
///
/// While compiling, if the part is HTML.
#[track_caller]
pub const fn quoted(event: &str, channel: &ChannelDeclaration, part: &str, why: &str) {
    let parts = channel.parts();
    let mut i = 0;
    while i < parts.len() {
        if same(parts[i].name(), part) && matches!(parts[i].form(), Form::Html) {
            refuse(&Message::about(event).text(why));
        }
        i += 1;
    }
}

/// Refuses a secret field in a template of a channel that stores what it shows.
///
/// # Panics
///
/// While compiling, if the channel stores it.
#[track_caller]
pub const fn shows_secrets(event: &str, channel: &ChannelDeclaration, why: &str) {
    if !channel.shows_secrets() {
        refuse(&Message::about(event).text(why));
    }
}

/// Refuses a use of the channel without a required part. If a part is unknown, only [`part`] reports it: it may be the required
/// part, misspelled.
///
/// # Panics
///
/// While compiling, if one is missing.
#[track_caller]
pub const fn needs(event: &str, channel: &ChannelDeclaration, written: &[&str]) {
    let parts = channel.parts();
    let mut i = 0;
    while i < written.len() {
        if !knows(parts, written[i]) {
            return;
        }
        i += 1;
    }
    let mut lacking = Message::EMPTY;
    let mut advice = Message::EMPTY;
    let mut i = 0;
    while i < parts.len() {
        if matches!(parts[i].need(), Need::Required) && !names(written, parts[i].name()) {
            lacking = lacking.comma().name(parts[i].name());
            advice = advice.comma().text(parts[i].name()).text(" = \"..\"");
        }
        i += 1;
    }
    if lacking.length > 0 {
        refuse(
            &Message::about(event)
                .text("channel ")
                .name(channel.name())
                .text(" needs ")
                .text(lacking.as_str())
                .text("; add `")
                .text(advice.as_str())
                .text("`"),
        );
    }
}

/// Refuses a channel that is named twice.
///
/// # Panics
///
/// While compiling, if it is named twice.
#[track_caller]
pub const fn distinct(event: &str, channel: &ChannelDeclaration, earlier: &ChannelDeclaration) {
    if same(earlier.name(), channel.name()) {
        refuse(
            &Message::about(event)
                .text("channel ")
                .name(channel.name())
                .text(" is named twice; write all of its parts in one place"),
        );
    }
}

/// Refuses a critical channel that is not among the event's channels.
///
/// # Panics
///
/// While compiling, if it is not among the channels.
#[track_caller]
pub const fn critical(
    event: &str,
    critical: &ChannelDeclaration,
    channels: &[&ChannelDeclaration],
) {
    if has(channels, critical) {
        return;
    }
    let mut message = Message::about(event)
        .text("the critical channel ")
        .name(critical.name())
        .text(" is not among its channels (");
    let mut i = 0;
    while i < channels.len() {
        if i > 0 {
            message = message.text(", ");
        }
        message = message.name(channels[i].name());
        i += 1;
    }
    refuse(&message.text("); add it to `channels(..)` or name one of them"));
}

/// Refuses a field that cannot be part of a dedup key; the reason comes from [`Key`].
///
/// # Panics
///
/// While compiling, if there is a reason.
#[track_caller]
pub const fn key(event: &str, field: &str, refused: Option<&str>) {
    if let Some(why) = refused {
        refuse(
            &Message::about(event)
                .name(field)
                .text(" cannot be part of the dedup key: it is ")
                .text(why)
                .text(", or leave it out of `by(..)`"),
        );
    }
}

/// Asks a type whether it can be part of a dedup key: `Key::<T>::REFUSED`.
///
/// For the types below it is an inherent const, which takes precedence over that of the trait [`Fits`]. Type aliases work too.
#[derive(Debug)]
pub struct Key<T: ?Sized>(PhantomData<T>);

/// Every other type fits.
pub trait Fits {
    /// Why the type cannot be part of a dedup key.
    const REFUSED: Option<&'static str> = None;
}

impl<T: ?Sized> Fits for Key<T> {}

const FLOAT: &str = "a float, and floats that look alike need not be equal; use a whole number (cents, not dollars) or a text";
const LIST: &str = "a list, and a key is made of single values; use a field that holds one";
const MAP: &str = "a map, and a key is made of single values; use a field that holds one";
const JSON: &str =
    "JSON of any shape, and a key is made of single values; use a field that holds one";

macro_rules! refused {
    ($($why:ident: $parameters:tt $type:ty;)*) => {$(
        refused!(@ $why, $parameters $type);
        refused!(@ $why, $parameters Option<$type>);
        refused!(@ $why, $parameters Box<$type>);
    )*};
    (@ $why:ident, [$($parameter:tt)*] $type:ty) => {
        impl<$($parameter)*> Key<$type> {
            /// Why the type cannot be part of a dedup key.
            pub const REFUSED: Option<&'static str> = Some($why);
        }
    };
}

refused! {
    FLOAT: [] f32;
    FLOAT: [] f64;
    LIST: [T] Vec<T>;
    LIST: [T] VecDeque<T>;
    LIST: [T] LinkedList<T>;
    LIST: [T] BinaryHeap<T>;
    LIST: [T] BTreeSet<T>;
    LIST: [T, S] HashSet<T, S>;
    LIST: [T, const N: usize] [T; N];
    LIST: [A] (A,);
    LIST: [A, B] (A, B);
    LIST: [A, B, C] (A, B, C);
    MAP: [K, V] BTreeMap<K, V>;
    MAP: [K, V, S] HashMap<K, V, S>;
    MAP: [] serde_json::Map<String, serde_json::Value>;
    JSON: [] serde_json::Value;
}

impl<T> Key<Box<[T]>> {
    /// Why the type cannot be part of a dedup key.
    pub const REFUSED: Option<&'static str> = Some(LIST);
}

const fn has(channels: &[&ChannelDeclaration], channel: &ChannelDeclaration) -> bool {
    let mut i = 0;
    while i < channels.len() {
        if same(channels[i].name(), channel.name()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn knows(parts: &[Part], name: &str) -> bool {
    let mut i = 0;
    while i < parts.len() {
        if same(parts[i].name(), name) {
            return true;
        }
        i += 1;
    }
    false
}

const fn names(written: &[&str], part: &str) -> bool {
    let mut i = 0;
    while i < written.len() {
        if same(written[i], part) {
            return true;
        }
        i += 1;
    }
    false
}

#[track_caller]
const fn refuse(message: &Message) {
    panic!("{}", message.as_str());
}

/// A message put together in const evaluation, where there is no `format!`. What is too long is cut.
#[derive(Clone, Copy)]
struct Message {
    bytes: [u8; Self::MAX_LENGTH],
    length: usize,
}

impl Message {
    const MAX_LENGTH: usize = 1024;

    const EMPTY: Self = Self {
        bytes: [0; Self::MAX_LENGTH],
        length: 0,
    };

    const fn about(event: &str) -> Self {
        Self::EMPTY.text("event ").name(event).text(": ")
    }

    const fn text(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() && self.length < Self::MAX_LENGTH {
            self.bytes[self.length] = bytes[i];
            self.length += 1;
            i += 1;
        }
        self
    }

    const fn name(self, name: &str) -> Self {
        self.text("`").text(name).text("`")
    }

    const fn comma(self) -> Self {
        if self.length > 0 {
            self.text(", ")
        } else {
            self
        }
    }

    const fn parts(mut self, parts: &[Part]) -> Self {
        let mut i = 0;
        while i < parts.len() {
            if i > 0 {
                self = self.text(", ");
            }
            self = self.name(parts[i].name());
            if matches!(parts[i].need(), Need::Optional) {
                self = self.text(" optional");
            }
            i += 1;
        }
        self
    }

    const fn as_str(&self) -> &str {
        let (written, _) = self.bytes.split_at(self.length);
        match str::from_utf8(written) {
            Ok(text) => text,
            Err(_) => "the event is declared wrongly",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{EMAIL, INBOX, PUSH};

    const EVENT: &str = "org.member.role_changed";

    #[track_caller]
    fn refusal(check: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(check).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_known_ones() {
        part(EVENT, &EMAIL, "subject");
        part(EVENT, &EMAIL, "text");
        assert_eq!(
            refusal(|| part(EVENT, &EMAIL, "subjct")),
            "event `org.member.role_changed`: channel `email` has no part `subjct`; its parts are \
             `subject`, `html`, `text` optional"
        );
        assert_eq!(
            refusal(|| part(EVENT, &INBOX, "sound")),
            "event `org.member.role_changed`: channel `inbox` has no part `sound`; its parts are \
             `title`, `body`, `action_url` optional"
        );
    }

    #[test]
    fn a_variable_outside_of_quotes_is_refused_in_html_alone() {
        quoted(EVENT, &EMAIL, "subject", "why");
        quoted(EVENT, &EMAIL, "text", "why");
        assert_eq!(
            refusal(|| quoted(EVENT, &EMAIL, "html", "why")),
            "event `org.member.role_changed`: why"
        );
    }

    #[test]
    fn a_needed_part_that_is_missing_is_refused_once_and_not_beside_an_unknown_one() {
        needs(EVENT, &EMAIL, &["html", "subject"]);
        needs(EVENT, &EMAIL, &["html", "subjct"]);
        assert_eq!(
            refusal(|| needs(EVENT, &EMAIL, &["html"])),
            "event `org.member.role_changed`: channel `email` needs `subject`; add `subject = \"..\"`"
        );
        assert_eq!(
            refusal(|| needs(EVENT, &INBOX, &["action_url"])),
            "event `org.member.role_changed`: channel `inbox` needs `title`, `body`; add `title = \"..\", body = \"..\"`"
        );
    }

    #[test]
    fn a_channel_is_named_once_and_a_critical_one_is_among_them() {
        distinct(EVENT, &EMAIL, &INBOX);
        assert!(refusal(|| distinct(EVENT, &EMAIL, &EMAIL)).contains("`email` is named twice"));
        critical(EVENT, &EMAIL, &[&INBOX, &EMAIL]);
        assert_eq!(
            refusal(|| critical(EVENT, &PUSH, &[&INBOX, &EMAIL])),
            "event `org.member.role_changed`: the critical channel `push` is not among its channels (`inbox`, `email`); \
             add it to `channels(..)` or name one of them"
        );
    }

    #[test]
    fn floats_lists_and_maps_are_no_part_of_a_key() {
        type Price = f64;
        for refused in [
            Key::<f32>::REFUSED,
            Key::<Price>::REFUSED,
            Key::<Option<f64>>::REFUSED,
            Key::<Vec<String>>::REFUSED,
            Key::<Option<Vec<String>>>::REFUSED,
            Key::<[u8; 4]>::REFUSED,
            Key::<(u8, String)>::REFUSED,
            Key::<HashMap<String, u8>>::REFUSED,
            Key::<BTreeMap<String, u8>>::REFUSED,
            Key::<Box<serde_json::Value>>::REFUSED,
        ] {
            assert!(refused.is_some());
        }
        for fits in [
            Key::<String>::REFUSED,
            Key::<u64>::REFUSED,
            Key::<Option<bool>>::REFUSED,
            Key::<uuid::Uuid>::REFUSED,
        ] {
            assert_eq!(fits, None);
        }
        assert!(
            refusal(|| key(EVENT, "amount", Key::<f64>::REFUSED))
                .contains("`amount` cannot be part of the dedup key")
        );
    }

    #[test]
    fn a_message_that_is_too_long_is_cut() {
        let long = "x".repeat(2_000);
        assert_eq!(
            refusal(|| part(&long, &EMAIL, "subjct")).len(),
            Message::MAX_LENGTH
        );
    }
}
