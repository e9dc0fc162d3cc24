//! The weather between the page and the routes: requests can be refused or delayed, and are recorded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

/// Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Weather(Arc<Sky>);

#[derive(Debug)]
struct Sky {
    refused: Mutex<Vec<(Method, &'static str, StatusCode)>>,
    held: watch::Sender<Option<&'static str>>,
    asked: Mutex<Vec<String>>,
    muted: watch::Sender<()>,
    streams: AtomicUsize,
}

/// An open stream of events.
struct Open(Weather);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Default for Weather {
    fn default() -> Self {
        Self(Arc::new(Sky {
            refused: Mutex::default(),
            held: watch::Sender::new(None),
            asked: Mutex::default(),
            muted: watch::Sender::new(()),
            streams: AtomicUsize::new(0),
        }))
    }
}

impl Weather {
    /// From now on requests to paths with this end are answered with this status.
    pub(crate) fn refuse(&self, method: Method, end: &'static str, status: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut refused = self.0.refused.lock().unwrap();
        refused.push((method, end, status));
    }

    /// From now on requests to paths with this end wait.
    pub(crate) fn hold(&self, end: &'static str) {
        self.0.held.send_replace(Some(end));
    }

    /// Ends all refusals and delays.
    pub(crate) fn clear(&self) {
        self.0.refused.lock().unwrap().clear();
        self.0.held.send_replace(None);
    }

    /// Silences the streams that are open now, without closing them. Later streams are not affected.
    pub(crate) fn mute(&self) {
        self.0.muted.send_replace(());
    }

    /// How many streams of events are open.
    pub(crate) fn streams(&self) -> usize {
        self.0.streams.load(Ordering::SeqCst)
    }

    fn follow(&self, answer: Response) -> Response {
        self.0.streams.fetch_add(1, Ordering::SeqCst);
        let (open, muted) = (Open(self.clone()), self.0.muted.subscribe());
        answer.map(|body| {
            let start = (body.into_data_stream(), muted, open);
            Body::from_stream(stream::unfold(
                start,
                async |(mut pieces, mut muted, open)| {
                    tokio::select! {
                        biased;
                        Ok(()) = muted.changed() => std::future::pending().await,
                        piece = pieces.next() => piece.map(|piece| (piece, (pieces, muted, open))),
                    }
                },
            ))
        })
    }

    /// How many requests were sent to paths with this end.
    pub(crate) fn asked(&self, method: &Method, end: &str) -> usize {
        let asked = self.0.asked.lock().unwrap();
        let begins = format!("{method} ");
        let is_so = |line: &&String| line.starts_with(&begins) && line.ends_with(end);
        asked.iter().filter(is_so).count()
    }
}

pub(crate) async fn pass(State(weather): State<Weather>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    weather
        .0
        .asked
        .lock()
        .unwrap()
        .push(format!("{method} {path}"));
    let is_held = |held: Option<&str>| held.is_some_and(|end| path.ends_with(end));
    let mut held = weather.0.held.subscribe();
    // It ends with the test, like the request.
    let _ = held.wait_for(|held| !is_held(*held)).await;
    let refused = weather.0.refused.lock().unwrap().clone();
    let refused = refused
        .iter()
        .find(|(of, end, _)| *of == method && path.ends_with(end));
    match refused {
        // A redirect leads to a page.
        Some((.., status)) => (*status, [(header::LOCATION, "/note")], "{}").into_response(),
        None if path.ends_with("/inbox/events") => weather.follow(next.run(request).await),
        None => next.run(request).await,
    }
}
