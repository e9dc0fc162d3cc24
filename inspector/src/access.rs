//! **Access**: who may talk to the inspector. This machine, under its own names, and no page of another origin.
//!
//! A page on the internet can point its own name at 127.0.0.1 (DNS rebinding) and then is of the same origin; so the `Host`
//! header has to be a name of this machine. Where real mail can be sent, every call needs the token of this start as well.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority};
use axum::middleware::Next;
use axum::response::Response;
use rand::RngExt as _;

use crate::problem::Problem;

/// The header that carries the token.
const TOKEN_HEADER: &str = "x-campanile-token";

/// What the name of a cookie with the token begins with. The port follows, which keeps two inspectors apart: ports share
/// their cookies.
const TOKEN_COOKIE: &str = "campanile-token-";

/// Who may call: under which names, and with which token.
#[derive(Clone)]
pub struct Access {
    reach: Reach,
    token: Option<Arc<str>>,
}

/// From where the inspector is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// From this machine.
    Loopback,
    /// From other machines too, by address: a name could be anybody's.
    AnyAddress,
}

impl Access {
    /// Without a token: nothing leaves the machine.
    #[must_use]
    pub const fn open(reach: Reach) -> Self {
        Self { reach, token: None }
    }

    /// With a fresh token that every call of the API has to carry.
    #[must_use]
    pub fn with_token(reach: Reach) -> Self {
        let token = format!("{:032x}", rand::rng().random::<u128>());
        Self {
            reach,
            token: Some(token.into()),
        }
    }

    /// The token, if there is one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn admits_host(&self, host: &str) -> bool {
        let name = host.trim_start_matches('[').trim_end_matches(']');
        match name.parse::<IpAddr>() {
            Ok(address) => self.reach == Reach::AnyAddress || address.is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    fn admits_token<'t>(&self, given: impl IntoIterator<Item = &'t [u8]>) -> bool {
        self.token.as_ref().is_none_or(|token| {
            let mut given = given.into_iter();
            given.any(|given| same(token.as_bytes(), given))
        })
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("reach", &self.reach)
            .field("needs_token", &self.token.is_some())
            .finish()
    }
}

/// Compares without telling by its time where the difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (l, r)| sum | (l ^ r)) == 0
}

/// Refuses a request under a name that is not this machine's.
pub(crate) async fn check_host(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    match authority(&parts) {
        Some(authority) if access.admits_host(authority.host()) => {
            Ok(next.run(Request::from_parts(parts, body)).await)
        }
        _ => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "HOST_NOT_ALLOWED",
            "the inspector answers under the names of this machine only: http://127.0.0.1 or http://localhost",
        )),
    }
}

fn authority(parts: &Parts) -> Option<Authority> {
    if let Some(authority) = parts.uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Refuses a call without the token, where there is one.
pub(crate) async fn check_token(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if access.admits_token(of_header(request.headers())) {
        return Ok(next.run(request).await);
    }
    Err(token_required())
}

/// The same where the page cannot send a header, as an `EventSource` and a frame cannot: a cookie may carry the token too.
pub(crate) async fn check_token_or_cookie(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let headers = request.headers();
    if access.admits_token(of_header(headers).chain(of_cookies(headers))) {
        return Ok(next.run(request).await);
    }
    Err(token_required())
}

fn of_header(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let given = headers.get(TOKEN_HEADER).into_iter();
    given.map(HeaderValue::as_bytes)
}

fn of_cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|cookies| cookies.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|cookie| cookie.trim_ascii().strip_prefix(TOKEN_COOKIE.as_bytes()))
        .filter_map(|cookie| cookie.splitn(2, |byte| *byte == b'=').nth(1))
}

fn token_required() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "TOKEN_REQUIRED",
        format!(
            "this inspector can send real mail: give the token it printed at its start in the header `{TOKEN_HEADER}`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_machine_is_not_admitted() {
        let loopback = Access::open(Reach::Loopback);
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(loopback.admits_host(host), "{host}");
        }
        for host in [
            "example.com",
            "192.168.0.7",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "",
        ] {
            assert!(!loopback.admits_host(host), "{host}");
        }
        let any = Access::open(Reach::AnyAddress);
        assert!(any.admits_host("192.168.0.7") && any.admits_host("[fe80::1]"));
        assert!(!any.admits_host("example.com"));
    }

    #[test]
    fn a_token_is_fresh_at_every_start_and_has_to_be_the_same() {
        let access = Access::with_token(Reach::Loopback);
        let token = access.token().unwrap();
        assert!(access.admits_token([token.as_bytes()]));
        assert!(access.admits_token([b"other", token.as_bytes()]));
        assert!(!access.admits_token([]));
        assert!(!access.admits_token([&b""[..]]));
        assert!(!access.admits_token([&token.as_bytes()[1..]]));
        assert_ne!(Access::with_token(Reach::Loopback).token(), Some(token));
        assert!(!format!("{access:?}").contains(token));
    }
}
