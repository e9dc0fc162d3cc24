//! **Access**: who may call the inspector. Only this machine, by its own names, and no page of another origin.
//!
//! A page on the internet can point its own name at 127.0.0.1 (DNS rebinding) and is then of the same origin; so the `Host`
//! header must be a name of this machine. Where real mail can be sent, every call also needs the token of this start.

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

/// The prefix of the name of a person's cookie. The port follows, because all ports of a host share their cookies.
const PERSON_COOKIE: &str = "campanile-person-";

/// Who may call: by which names, and with which secrets.
#[derive(Clone)]
pub struct Access {
    reach: Reach,
    secrets: Option<Arc<Secrets>>,
}

/// The secrets of a caller. A browser sends a cookie to every port of this machine, so the cookie's secret gives less access than
/// the token.
struct Secrets {
    /// Gives access to everything, and is never in a cookie.
    token: String,
    /// Gives access to a person's routes, and only in a cookie.
    cookie: String,
}

/// From where the inspector can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// From this machine only.
    Loopback,
    /// From other machines too, but by address only, because anybody can point a name here.
    AnyAddress,
}

impl Access {
    /// Without a token, if nothing leaves the machine.
    #[must_use]
    pub const fn open(reach: Reach) -> Self {
        Self {
            reach,
            secrets: None,
        }
    }

    /// With a new token that every call of the API needs.
    #[must_use]
    pub fn with_token(reach: Reach) -> Self {
        let secret = || format!("{:032x}", rand::rng().random::<u128>());
        let secrets = Secrets {
            token: secret(),
            cookie: secret(),
        };
        Self {
            reach,
            secrets: Some(Arc::new(secrets)),
        }
    }

    /// The token, if there is one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.secrets
            .as_deref()
            .map(|secrets| secrets.token.as_str())
    }

    fn admits_host(&self, host: &str) -> bool {
        let name = host.trim_start_matches('[').trim_end_matches(']');
        match name.parse::<IpAddr>() {
            Ok(address) => self.reach == Reach::AnyAddress || address.is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    fn admits_header(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(TOKEN_HEADER).map(HeaderValue::as_bytes);
        self.secrets
            .as_ref()
            .is_none_or(|secrets| given.is_some_and(|given| same(secrets.token.as_bytes(), given)))
    }

    fn admits_cookie(&self, headers: &HeaderMap) -> bool {
        self.secrets.as_ref().is_none_or(|secrets| {
            of_cookies(headers).any(|given| same(secrets.cookie.as_bytes(), given))
        })
    }

    /// The cookie for a person's routes, for a caller that has the token.
    fn cookie(&self, host: Option<&Authority>) -> Option<HeaderValue> {
        let secrets = self.secrets.as_ref()?;
        let port = host?.port_u16().unwrap_or(80);
        let cookie = format!(
            "{PERSON_COOKIE}{port}={}; Path=/as; HttpOnly; SameSite=Strict",
            secrets.cookie
        );
        HeaderValue::try_from(cookie).ok()
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("reach", &self.reach)
            .field("needs_token", &self.secrets.is_some())
            .finish()
    }
}

/// Compares in constant time.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (l, r)| sum | (l ^ r)) == 0
}

/// Refuses a request by a name that is not this machine's.
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
            "the inspector answers only by the names of this machine: use http://127.0.0.1 or http://localhost",
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

/// Refuses a call without the token, if there is one. The answer sets the cookie for a person's routes.
pub(crate) async fn check_token(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !access.admits_header(request.headers()) {
        return Err(token_required());
    }
    let (parts, body) = request.into_parts();
    let cookie = access.cookie(authority(&parts).as_ref());
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The same for an `EventSource` and a frame, which cannot send headers: the cookie is accepted too.
pub(crate) async fn check_token_or_cookie(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let headers = request.headers();
    if access.admits_header(headers) || access.admits_cookie(headers) {
        return Ok(next.run(request).await);
    }
    Err(token_required())
}

fn of_cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|cookies| cookies.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|cookie| cookie.trim_ascii().strip_prefix(PERSON_COOKIE.as_bytes()))
        .filter_map(|cookie| cookie.splitn(2, |byte| *byte == b'=').nth(1))
}

fn token_required() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "TOKEN_REQUIRED",
        format!(
            "this inspector can send real mail: send the token that it printed at its start in the header `{TOKEN_HEADER}`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_machine_is_refused() {
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
    fn the_secrets_are_new_at_every_start_and_must_match() {
        let access = Access::with_token(Reach::Loopback);
        let secrets = access.secrets.as_deref().unwrap();
        let admits = |given: &str| {
            let header = [(TOKEN_HEADER, given)];
            let header =
                header.map(|(name, given)| (name.parse().unwrap(), given.parse().unwrap()));
            access.admits_header(&header.into_iter().collect())
        };
        assert!(admits(&secrets.token) && !access.admits_header(&HeaderMap::new()));
        for other in ["", "other", &secrets.token[1..], &secrets.cookie] {
            assert!(!admits(other), "{other}");
        }
        let next = Access::with_token(Reach::Loopback);
        assert_ne!(next.token(), access.token());
        assert_ne!(next.secrets.unwrap().cookie, secrets.cookie);
        let said = format!("{access:?}");
        assert!(!said.contains(&secrets.token) && !said.contains(&secrets.cookie));
    }
}
