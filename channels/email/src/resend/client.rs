//! The HTTP **client**: one request, one reply, with limits for time and size.
//!
//! It follows no redirect, uses no proxy, and uses HTTPS to any host except this machine. It does not interpret replies.

use std::fmt;
use std::time::{Duration, SystemTime};

use campanile::channel::SetupError;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use secrecy::{ExposeSecret as _, SecretString};

use super::request::Request;
use super::retry_after::retry_after;
use super::verdict::Reply;
use crate::local::is_this_machine;
use crate::redact::redact;

/// How long a connection may take, name lookup and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum size of an answer, in bytes; a hundred ids take five thousand.
const MAX_ANSWER: usize = 256 * 1024;

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: SecretString,
}

impl Client {
    pub(super) fn new(base: &str, key: SecretString) -> Result<Self, SetupError> {
        let base = base_url(base)?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .map_err(|_| {
                SetupError::new(
                    "the Resend API key contains characters that are not valid in a key",
                )
            })?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // One bad mail of a batch does not fail the others.
        headers.insert("x-batch-validation", HeaderValue::from_static("permissive"));
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("campanile-email/", env!("CARGO_PKG_VERSION")))
            .https_only(base.scheme() == "https")
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| {
                let error = error.without_url();
                SetupError::new(format!(
                    "the HTTP client for Resend cannot be built: {error}"
                ))
            })?;
        Ok(Self { http, base, key })
    }

    /// Sends the request once, and reads the provider's reply as far as it can be parsed.
    pub(super) async fn ask(&self, request: &Request, time: Duration) -> Reply {
        let url = self.base.join(request.path).expect("a path joins a base");
        let response = self
            .http
            .post(url)
            .timeout(time)
            .header("idempotency-key", &request.key)
            .body(request.body.clone())
            .send()
            .await;
        match response {
            Ok(response) => Reply::Answered {
                status: response.status().as_u16(),
                retry_after: response
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|value| retry_after(value, SystemTime::now())),
                body: read(response).await,
            },
            Err(error) => failed(error),
        }
    }

    /// An external text without the key and addresses.
    pub(super) fn redact(&self, text: &str) -> String {
        redact(text, &[self.key.expose_secret()])
    }
}

fn failed(error: reqwest::Error) -> Reply {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        return Reply::NotConnected(root_cause(&error));
    }
    Reply::Lost(if error.is_timeout() {
        "it took too long".into()
    } else {
        root_cause(&error)
    })
}

/// reqwest's own message says little; the last cause says what happened.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    redact(&cause.to_string(), &[])
}

/// The body, if it is complete and not too large.
async fn read(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

fn base_url(text: &str) -> Result<Url, SetupError> {
    let refuse = |reason: &str| SetupError::new(format!("the URL of Resend's API {reason}"));
    // A path is joined below the last slash.
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/')))
        .map_err(|_| refuse("does not parse"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("contains a user name or password"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if url.host_str().is_some_and(is_this_machine) => Ok(url),
        _ => Err(refuse(
            "is not `https://..`, nor `http://..` to this machine",
        )),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_called_over_https_or_on_this_machine() {
        for (given, base) in [
            ("https://api.resend.com", "https://api.resend.com/"),
            ("https://eu.example/resend/", "https://eu.example/resend/"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000/"),
            ("http://[::1]:4000", "http://[::1]:4000/"),
            ("http://localhost:4000", "http://localhost:4000/"),
        ] {
            assert_eq!(base_url(given).unwrap().as_str(), base);
        }
        for bad in [
            "http://api.resend.com",
            "http://127.0.0.1.evil.example",
            "https://user:hunter2@api.resend.com",
            "ftp://localhost",
            "hunter2",
            "",
        ] {
            let error = base_url(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
