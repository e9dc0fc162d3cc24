//! Listens to a stream of events, as a browser's `EventSource` does.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Method, Request};
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::site::{Site, request};

/// An open connection.
pub(crate) struct Listener {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// A request that a browser makes for events.
pub(crate) fn events(user: &str, query: &str) -> Request<Body> {
    let request = request(Method::GET, &format!("/inbox/events{query}"));
    let request = request
        .header("x-session", user)
        .header("last-event-id", "7");
    request.body(Body::empty()).unwrap()
}

impl Site {
    /// Connects, and reads the counts that every connection begins with.
    pub(crate) async fn listen(&self, user: &str) -> Listener {
        self.listen_to(events(user, "")).await
    }

    pub(crate) async fn listen_to(&self, request: Request<Body>) -> Listener {
        let response = self.respond(request).await;
        assert_eq!(response.status(), 200);
        let mut listener = Listener::over(response.into_body());
        assert_eq!(listener.next().await.unwrap().event, "counts");
        listener
    }
}

impl Listener {
    pub(crate) fn over(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event that is not a heartbeat, or the end.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            let block = self.block().await?;
            let field = |name| block.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(event), Some(data)) = (field("event: "), field("data: "))
                && event != "heartbeat"
            {
                return Some(Heard {
                    event: event.to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
        }
    }

    /// The lines up to the next empty one, of an event or of a heartbeat.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                let block = std::mem::replace(&mut self.text, rest);
                return Some(block.trim_end().to_owned());
            }
            let piece = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await;
            let piece = piece.expect("an event arrives within ten seconds")?;
            self.text += std::str::from_utf8(&piece.unwrap()).unwrap();
        }
    }

    /// The next event's name, with the title of its item or the text of the badge.
    pub(crate) async fn hear(&mut self) -> String {
        self.next()
            .await
            .expect("the stream has not ended")
            .to_string()
    }

    /// Expects these events, in this order.
    pub(crate) async fn expect(&mut self, events: &[&str]) {
        for event in events {
            assert_eq!(self.hear().await, *event);
        }
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = self.data["title"].as_str().or(self.data["badge"].as_str());
        match told {
            Some(told) => write!(f, "{} {told}", self.event),
            None => f.write_str(&self.event),
        }
    }
}
