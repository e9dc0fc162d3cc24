//! Unknown, repeated, foreign and missing keys. An unknown key is not also reported as missing.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// Unknown.
#[notifiable_event(
    "a.b.c",
    categry = "team",
    dedup(windw = "60"),
    expires_afer = "0s",
    chanels(INBOX(title = "{{ b }}", body = ".."))
)]
pub struct Unknown;

/// Repeated.
#[notifiable_event(
    "a.b.d",
    category = "team",
    category = "team",
    channels(INBOX(title = "..", body = "..")),
    "a.b.e"
)]
pub struct Repeated;

/// Foreign.
#[notifiable_event(
    "a.b.f",
    category = "team",
    priority = 5,
    EMAIL(subject = "..", html = "..")
)]
pub struct Foreign;

/// Missing.
#[notifiable_event]
pub struct Missing;

/// Half of it is missing.
#[notifiable_event("a.b.g")]
pub struct HalfMissing;

/// In another form.
#[notifiable_event("a.b.h", category("team"), channels = INBOX, dedup = "60s", critical(INBOX), aliases = "a.b.i")]
pub struct OtherForms;

/// Of other types.
#[notifiable_event(a.b.c, category = team, channels(INBOX(title = "..", body = "..")), critical = [EMAIL, INBOX])]
pub struct OtherTypes;

/// A channel by its name.
#[notifiable_event("a.b.n", category = "team", channels("inbox"))]
pub struct ByName;

/// In braces.
#[notifiable_event("a.b.o", category = "team", channels(EMAIL { }))]
pub struct InBraces;

/// Without quotes.
#[notifiable_event("a.b.p", category = "team", channels(INBOX(title = "..", body = "..")), aliases(a.b.j))]
pub struct WithoutQuotes;

/// Without channels.
#[notifiable_event("a.b.k", category = "team", channels())]
pub struct WithoutChannels;

/// Without commas.
#[notifiable_event("a.b.l" category = "team" channels(INBOX(title = ".." body = "..")))]
pub struct WithoutCommas;

/// Not to the end.
#[notifiable_event("a.b.m", category = , channels(INBOX(title = , body = ..)), aliases())]
pub struct NotToTheEnd;

fn main() {
    let _ = [EMAIL, INBOX];
}
