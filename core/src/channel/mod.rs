//! A **channel** is a crate that registers itself: adding a channel is adding a crate.
//!
//! A channel exports a const [`ChannelDeclaration`] (its name and its parts), implements [`Channel`] if it talks to the outside
//! world, or contributes one `INSERT .. SELECT` for each database ([`LocalChannel`]) if it writes rows with the dispatch, and
//! registers itself with [`register_channel!`](crate::register_channel). This module knows only the names and parts of the
//! first-party channels.

pub(crate) mod address;
pub(crate) mod erasure;
pub(crate) mod delivery;
pub(crate) mod policy;
pub(crate) mod setup;
pub(crate) mod scrub;

use std::sync::Arc;

use async_trait::async_trait;

use crate::database::Statement;
use crate::location::Location;

pub use self::address::{AddressBook, AddressError};
pub use self::delivery::{Delivery, DeliveryError, ErrorClass, Parts, Verdict};
pub use self::policy::Policy;
pub use self::setup::{Setup, SetupError};

/// Rows in the app's own database: a feed, an unread badge, marking as read. Registered by `campanile-inbox`.
pub const INBOX: ChannelDeclaration = ChannelDeclaration::new(
    "inbox",
    "campanile_inbox",
    &[
        Part::line("title", 200),
        Part::text("body", 4_000),
        Part::url("action_url").optional(),
    ],
);

/// Electronic mail. Registered by `campanile-email`.
pub const EMAIL: ChannelDeclaration = ChannelDeclaration::new(
    "email",
    "campanile_email",
    &[
        Part::line("subject", 200),
        Part::html("html"),
        Part::text("text", 100_000).optional(),
    ],
)
.showing_secrets();

/// A push notification on a phone or desktop. Registered by `campanile-push`.
pub const PUSH: ChannelDeclaration = ChannelDeclaration::new(
    "push",
    "campanile_push",
    &[
        Part::line("title", 200),
        Part::text("body", 4_000),
        Part::url("action_url").optional(),
    ],
)
.showing_secrets();

/// A channel's name and the parts a notification has there, as const data that the compiler checks events against.
///
/// ```
/// use campanile::channel::{ChannelDeclaration, Part};
///
/// pub const PIGEON: ChannelDeclaration = ChannelDeclaration::new(
///     "pigeon",
///     env!("CARGO_CRATE_NAME"),
///     &[Part::text("scroll", 140), Part::line("perch", 40).optional()],
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelDeclaration {
    name: &'static str,
    krate: &'static str,
    parts: &'static [Part],
    shows_secrets: bool,
}

impl ChannelDeclaration {
    /// Declares a channel: its name, the crate that registers it (`env!("CARGO_CRATE_NAME")`), and its parts.
    ///
    /// # Panics
    ///
    /// At compile time, when the name or a part's name is not of the form `[a-z][a-z0-9_]*`, when two parts share a name, or when
    /// the maximum length of a part is 0.
    #[must_use]
    pub const fn new(name: &'static str, krate: &'static str, parts: &'static [Part]) -> Self {
        assert!(
            is_word(name),
            "a channel's name is lower case letters, digits and `_`, and begins with a letter"
        );
        let mut i = 0;
        while i < parts.len() {
            assert!(
                is_word(parts[i].name),
                "the name of a channel's part is lower case letters, digits and `_`, and begins with a letter"
            );
            if let Form::Line { max } | Form::Text { max } = parts[i].form {
                assert!(max > 0, "a channel's part may have at least one character");
            }
            let mut j = i + 1;
            while j < parts.len() {
                assert!(
                    !same(parts[i].name, parts[j].name),
                    "two parts of a channel have the same name"
                );
                j += 1;
            }
            i += 1;
        }
        Self {
            name,
            krate,
            parts,
            shows_secrets: false,
        }
    }

    /// The same channel, with templates that may use [secret fields](crate::notifiable_event). Such a channel passes secrets to
    /// the recipient and does not store them. Rendered content of an event with secret fields is erased when the delivery ends. A
    /// channel that writes rows with the dispatch cannot show secrets.
    #[must_use]
    pub const fn showing_secrets(self) -> Self {
        Self {
            shows_secrets: true,
            ..self
        }
    }

    /// Whether the channel's templates may use secret fields.
    #[must_use]
    pub const fn shows_secrets(&self) -> bool {
        self.shows_secrets
    }

    /// The channel's name, as preferences and reports show it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The crate to link so that the channel registers itself, `campanile_push` for example.
    #[must_use]
    pub const fn krate(&self) -> &'static str {
        self.krate
    }

    /// The parts of a notification on this channel.
    #[must_use]
    pub const fn parts(&self) -> &'static [Part] {
        self.parts
    }

    /// The part with this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&'static Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

/// One part of a notification on a channel: `subject`, `html`, `title`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    name: &'static str,
    form: Form,
    need: Need,
}

/// What a rendered part may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// One line of plain text: line breaks become spaces, and it is cut at a grapheme, even if a few graphemes have many code
    /// points.
    Line {
        /// The maximum length in graphemes.
        max: usize,
    },
    /// Plain text, cut at a grapheme.
    Text {
        /// The maximum length in graphemes.
        max: usize,
    },
    /// HTML: values of the payload are escaped, and a link to a script is an error.
    Html,
    /// A link: `https`, `mailto`, an absolute path of the same origin, and `http` in development.
    Url,
}

/// Whether an event must fill a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// An event that is sent on the channel without it does not compile.
    Required,
    /// May be left out.
    Optional,
}

impl Part {
    /// One line of plain text of at most `max` graphemes.
    #[must_use]
    pub const fn line(name: &'static str, max: usize) -> Self {
        Self::required(name, Form::Line { max })
    }

    /// Plain text of at most `max` graphemes.
    #[must_use]
    pub const fn text(name: &'static str, max: usize) -> Self {
        Self::required(name, Form::Text { max })
    }

    /// HTML; values of the payload are escaped.
    #[must_use]
    pub const fn html(name: &'static str) -> Self {
        Self::required(name, Form::Html)
    }

    /// A link that is parsed and checked before it is stored.
    #[must_use]
    pub const fn url(name: &'static str) -> Self {
        Self::required(name, Form::Url)
    }

    const fn required(name: &'static str, form: Form) -> Self {
        Self {
            name,
            form,
            need: Need::Required,
        }
    }

    /// The same part, but an event may leave it out.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self {
            need: Need::Optional,
            ..self
        }
    }

    /// The part's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it may hold.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Whether an event must fill it.
    #[must_use]
    pub const fn need(&self) -> Need {
        self.need
    }
}

/// A remote channel: it talks to the outside world, after the commit.
///
/// # What campanile guarantees
///
/// * A batch holds between one and [`max_batch`](Channel::max_batch) deliveries, each admitted, not muted, with rendered
///   and frozen parts, and with at least one address.
/// * A call runs on its own thread with a timeout, and no more calls run at once than your policy allows. A panic or a hang in it
///   is a failed attempt of your deliveries and does not affect other channels. A process that exits does not wait for the
///   thread.
/// * A delivery may be retried (with the same id, the same parts and a higher attempt) when your verdict asked for it,
///   or when the process died before the verdict was recorded.
/// * If your [`policy`](Channel::policy) says that keys are supported, a batch of several has a
///   [key of its own](Delivery::batch_key). A batch that may have been sent is retried with the same members under that key.
///
/// # What the channel guarantees
///
/// * One [`Verdict`] for each delivery, in the order of the batch. The provider's answer decides:
///   `Accepted` means that the provider accepted it.
/// * You pass [`Delivery::idempotency_key`] to a provider that supports such keys.
/// * You do not block the thread, and you do not retry yourself: return [`Verdict::Retry`].
/// * You log no address and no payload.
///
/// # Cancel safety
///
/// The future is dropped at the timeout. Deliveries that the provider had accepted by then are sent again under the same key.
///
/// # Example of what not to do
///
/// ```text
/// // Wrong: an error of one delivery loses the verdicts of the others.
/// async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
///     batch.iter().map(|delivery| self.send(delivery).unwrap()).collect()
/// }
/// ```
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Tries each delivery once and returns one verdict for each, in order.
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict>;

    /// The maximum number of deliveries in one call. More than one only if the provider accepts batches.
    fn max_batch(&self) -> usize {
        1
    }

    /// How deliveries are retried, and how much of a process they may use. A host may [tune](crate::Builder::tune) it.
    fn policy(&self) -> Policy {
        Policy::new()
    }

    /// Parts to add to the rendered ones, or to replace, before the content is frozen: the text of a mail whose event has only
    /// HTML, for example. Called once for each dispatch and not by retries, so that a deploy in between does not change what is
    /// sent under a key. It must be pure and fast: a dispatch waits for it.
    ///
    /// Parts that the channel does not declare are dropped; the others are cut and checked like rendered ones. Deliveries that
    /// were frozen by an older version of the channel may lack these parts.
    fn complete(&self, parts: &Parts) -> Parts {
        let _ = parts;
        Parts::new()
    }

    /// The statements that erase the user `$1` from the channel's own tables, if it has any, with the placeholders of
    /// [`Database::sql`](crate::Database::sql). `$2`, where it occurs, is a JSON array of the user's addresses, as stored and in
    /// the forms in which they may be compared: in lower case, without a display name, with an ASCII domain. They run in the
    /// transaction of [`Operations::forget_user`](crate::operate::Operations::forget_user), in a binary that links the channel.
    /// Lock rows in a fixed order if other statements lock them too.
    fn forget(&self) -> &'static [&'static Statement] {
        &[]
    }
}

/// A local channel: rows in the app's own database, written in the dispatch statement itself.
///
/// Each statement is one `INSERT .. SELECT .. FROM admitted`, without a semicolon. The relation `admitted` has one row for each
/// admitted notification on this channel:
///
/// | column | Postgres | SQLite | |
/// |---|---|---|---|
/// | `notification_id` | uuid | text | unique; ordered by time |
/// | `dispatch_id` | uuid | text | |
/// | `user_id` | text | text | the recipient |
/// | `org_id` | text | text | may be null |
/// | `event_type` | text | text | |
/// | `subject_id` | text | text | may be null |
/// | `category` | text | text | |
/// | `payload` | jsonb | text (JSON) | the event's fields |
/// | `parts` | jsonb | text (JSON) | this channel's rendered parts, an object of strings |
/// | `created_at` | timestamptz | integer, microseconds | the database's clock |
///
/// `parts ->> 'title'` reads a part on both databases. Campanile's own Postgres tables are in the schema `campanile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalChannel {
    /// The statement for Postgres.
    pub postgres: &'static str,
    /// The statement for SQLite.
    pub sqlite: &'static str,
    /// The statements that erase the user `$1` from the channel's tables, as [`Channel::forget`].
    pub forget: &'static [&'static Statement],
    /// The statements that delete rows that the user read or archived more than `$1` microseconds ago, at most `$2` of them, with
    /// the placeholders of [`Database::sql`](crate::Database::sql). [`Operations::prune`](crate::operate::Operations::prune) runs
    /// each of them on its own until it deletes nothing. It must find its rows by an index, and skip locked ones:
    /// `{skip_locked}`.
    pub prune: &'static [&'static Statement],
    /// The same for unread rows that were written more than `$1` microseconds ago.
    pub prune_unread: &'static [&'static Statement],
}

/// How a channel delivers.
#[derive(Clone, Copy)]
pub enum Transport {
    /// It writes rows in the dispatch statement.
    Local(LocalChannel),
    /// It talks to the outside world, after the commit. The function builds it, once, at start-up; its
    /// [`Channel::forget`] erases a user.
    Remote(fn(&Setup<'_>) -> Result<Arc<dyn Channel>, SetupError>),
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local(_) => "Local",
            Self::Remote(_) => "Remote",
        })
    }
}

/// The registration of a channel; see [`register_channel!`](crate::register_channel).
#[derive(Debug, Clone, Copy)]
pub struct RegisteredChannel {
    /// Its name and parts.
    pub declaration: &'static ChannelDeclaration,
    /// How it delivers.
    pub transport: Transport,
    /// Where it registers itself.
    pub location: Location,
}

inventory::collect!(RegisteredChannel);

/// Registers a channel with every binary that links the crate.
///
/// ```
/// # use std::sync::Arc;
/// # use campanile::channel::{Channel, ChannelDeclaration, Part, Transport};
/// # use campanile::channel::{Delivery, Verdict};
/// # use campanile::channel::{Setup, SetupError};
/// pub const PIGEON: ChannelDeclaration =
///     ChannelDeclaration::new("pigeon", env!("CARGO_CRATE_NAME"), &[Part::text("scroll", 140)]);
///
/// struct Loft;
///
/// #[campanile::async_trait]
/// impl Channel for Loft {
///     async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
///         batch.iter().map(|_| Verdict::accepted()).collect()
///     }
/// }
///
/// fn build(_: &Setup<'_>) -> Result<Arc<dyn Channel>, SetupError> {
///     Ok(Arc::new(Loft))
/// }
///
/// campanile::register_channel!(PIGEON, Transport::Remote(build));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register_channel {
    ($declaration:path, $transport:expr $(,)?) => {
        $crate::__private::inventory::submit! {
            $crate::channel::RegisteredChannel {
                declaration: &$declaration,
                transport: $transport,
                location: $crate::here!(),
            }
        }
    };
}

/// Whether a name is of the form `[a-z][a-z0-9_]*` and at most 64 bytes long.
pub(crate) const fn is_word(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut i = 1;
    while i < bytes.len() {
        let byte = bytes[i];
        if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            return false;
        }
        i += 1;
    }
    true
}

pub(crate) const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut i = 0;
    while i < left.len() {
        if left[i] != right[i] {
            return false;
        }
        i += 1;
    }
    true
}
