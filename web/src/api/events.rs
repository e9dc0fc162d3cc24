//! Live **events**: `GET /inbox/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use rand::RngExt as _;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::body::Search;
use crate::caller::Caller;
use crate::counts::Counts;
use crate::live::message::Message;
use crate::problem::Problem;
use crate::state::Web;

/// After how many milliseconds a client reconnects. It is random, so that clients do not all reconnect at once after a restart.
const RECONNECT_DELAY_MS: std::ops::Range<u64> = 1_000..4_000;

/// Which part of the inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only the items of this organization. If the session is in an organization, only that one is allowed.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"
    )]
    org: Option<String>,
}

/// An event of the stream, for the document.
#[derive(ToSchema)]
#[allow(dead_code, reason = "its fields are written by the stream")]
struct LiveEvent {
    #[schema(inline)]
    event: LiveKind,
    /// JSON: the counts, an item of the feed, `{"everyMs": 20000}` or `{}`.
    data: String,
    /// After how many milliseconds to reconnect when the connection has ended.
    retry: Option<u64>,
}

/// What happened.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "for the document")]
enum LiveKind {
    Counts,
    Created,
    Updated,
    Reset,
    Heartbeat,
}

/// Listen
///
/// A stream of Server-Sent Events about the inbox. `counts`, the first event of every connection, has the counts; `created` and
/// `updated` have a new or changed item of the feed; `reset` has `{}` and means that events were dropped. Every event has the
/// current state, and may be sent twice.
/// `heartbeat` is sent after the counts and whenever the stream was idle for `everyMs` milliseconds, a field of its data. If nothing
/// arrives for twice as long, the connection is dead, for example because the computer slept: connect again.
/// There are no event ids, and `Last-Event-ID` is ignored. After the first event, and after a `reset`, read the head of the feed
/// and its counts again: events from before the connection are not sent.
/// A connection ends after a quarter of an hour or less; connect again, as a browser's `EventSource` does automatically.
#[utoipa::path(
    get,
    path = "/inbox/events",
    tag = "inbox",
    params(EventsQuery),
    responses((status = 200, description = "Events, until the connection ends", body = LiveEvent, content_type = "text/event-stream"))
)]
pub(crate) async fn listen(
    State(web): State<Web>,
    caller: Caller,
    Search(query): Search<EventsQuery>,
) -> Result<Response, Problem> {
    let inbox = caller.inbox(web.database(), query.org.as_deref())?;
    let org = caller.org(query.org.as_deref())?;
    let mut seat = web.live.join(caller.user(), org, inbox.clone())?;
    seat.begun().await?;
    // Read after the watcher has begun, so that no change is missed in between.
    let counts = Counts::of(&inbox).await?;
    let delay = Duration::from_millis(rand::rng().random_range(RECONNECT_DELAY_MS));
    let first = Message::counts(&counts).event().retry(delay);
    let every = web.live.options().heartbeat;
    let heartbeat = Message::heartbeat(every);
    let events = stream::iter([first, heartbeat.event()])
        .chain(seat.messages().map(|message| message.event()))
        .map(Ok::<_, Infallible>)
        .take_until(tokio::time::sleep(web.live.options().lifetime()));
    let keep_alive = KeepAlive::new().interval(every).event(heartbeat.event());
    // No cache may store the stream, and no proxy may buffer or compress it.
    let headers = [
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store, no-transform"),
        ),
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Sse::new(events).keep_alive(keep_alive)).into_response())
}
