//! What must hold for any **input** of a request: property tests check it with generated input, the fuzzer with input that it
//! finds. Each function panics where a promise is broken.

#![allow(
    unreachable_pub,
    clippy::missing_panics_doc,
    reason = "not public API: the fuzzer is another crate, and a panic is what it looks for"
)]

use axum::body::Body;
use axum::extract::{FromRequest as _, FromRequestParts as _, Request};
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use campanile_inbox::{Cursor, Filter, Moment};
use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;

use crate::api::counts::CountsQuery;
use crate::api::inbox::InboxQuery;
use crate::api::marks::{Marks, Shown};
use crate::body::{Document, Form, Search};
use crate::cursor::View;
use crate::settings_page::{SwitchForm, Turned};

/// A cursor round-trips, or is refused.
pub fn cursor(text: &str) {
    let view = View {
        user: "u_ada",
        org: Some("org_1"),
        category: None,
        filter: Filter::Unread,
    };
    if let Ok((direction, place)) = view.place(text) {
        assert_eq!(view.cursor(direction, place), text);
    }
    if let Ok(place) = text.parse::<Cursor>() {
        assert_eq!(place.to_string().parse::<Cursor>().ok(), Some(place));
    }
    if let Ok(moment) = text.parse::<Moment>() {
        assert_eq!(moment.to_string(), text);
    }
}

/// A body is parsed, or refused as the client's mistake.
pub fn body(bytes: &[u8]) {
    fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
        let document = Document::<T>::from_request(request("application/json", bytes), &());
        match document.now_or_never().expect("the body is there") {
            Ok(Document(read)) => {
                assert!(
                    std::str::from_utf8(bytes).is_ok_and(|text| text.trim_start().starts_with('{'))
                );
                Some(read)
            }
            Err(problem) => {
                assert!(problem.kind().status.is_client_error());
                None
            }
        }
    }
    let _: Option<Marks> = read(bytes);
    let _: Option<crate::api::preferences::SwitchChange> = read(bytes);
    if let Some(shown) = read::<Shown>(bytes)
        && let Err(problem) = shown.moment()
    {
        assert!(problem.kind().status.is_client_error());
    }
}

/// A form and a query are parsed, or refused as the client's mistake.
pub fn form(bytes: &[u8]) {
    let request = request("application/x-www-form-urlencoded", bytes);
    let form = Form::<SwitchForm>::from_request(request, &()).now_or_never();
    if let Err(problem) = form.expect("the body is there") {
        assert!(problem.kind().status.is_client_error());
    }
    let Ok(uri) = Uri::try_from([b"/?", bytes].concat()) else {
        return;
    };
    search::<InboxQuery>(&uri);
    search::<CountsQuery>(&uri);
    search::<Turned>(&uri);
}

fn request(kind: &str, bytes: &[u8]) -> Request {
    Request::post("/")
        .header(CONTENT_TYPE, kind)
        .body(Body::from(bytes.to_vec()))
        .expect("it is a request")
}

fn search<T: DeserializeOwned>(uri: &Uri) {
    let request = Request::get(uri.clone()).body(()).expect("it is a request");
    let (mut parts, ()) = request.into_parts();
    let query = Search::<T>::from_request_parts(&mut parts, &()).now_or_never();
    if let Err(problem) = query.expect("it waits for nothing") {
        assert!(problem.kind().status.is_client_error());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Pieces of which bodies are made.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: &[&[u8]] = &[
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b",",
            b"\"read\"",
            b"\"archived\"",
            b"\"asOf\"",
            b"\"since\"",
            b"\"org\"",
            b"\"category\"",
            b"\"channel\"",
            b"\"enabled\"",
            b"true",
            b"null",
            b"\"7:9:8\"",
            b"\"7\"",
            b"1e999",
            b"\"\\u0000\"",
            b"\xff",
            b" ",
            b"\"01900000-0000-7000-8000-000000000000\"",
        ];
        let pieces = proptest::sample::select(PIECES);
        let made = proptest::collection::vec(pieces, 0..16).prop_map(|pieces| pieces.concat());
        prop_oneof![made, any::<Vec<u8>>()]
    }

    /// Pieces of which forms and queries are made.
    fn forms() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: &[&[u8]] = &[
            b"category",
            b"channel",
            b"enabled",
            b"version",
            b"limit",
            b"cursor",
            b"status",
            b"org",
            b"=",
            b"&",
            b"+",
            b"%",
            b"%00",
            b"%ff",
            b"%C3%A9",
            b"true",
            b"false",
            b"unread",
            b"7",
            b";",
            b"[]",
            b"\xff",
        ];
        let pieces = proptest::sample::select(PIECES);
        let made = proptest::collection::vec(pieces, 0..16).prop_map(|pieces| pieces.concat());
        prop_oneof![made, any::<Vec<u8>>()]
    }

    proptest! {
        #[test]
        fn a_cursor_round_trips_or_is_refused(text in "[AQgc10-9a-f:,]{0,60}|\\PC{0,60}") {
            super::cursor(&text);
        }

        #[test]
        fn a_body_is_parsed_or_refused_as_the_clients_mistake(bytes in bodies()) {
            super::body(&bytes);
        }

        #[test]
        fn a_form_is_parsed_or_refused_as_the_clients_mistake(bytes in forms()) {
            super::form(&bytes);
        }
    }
}
