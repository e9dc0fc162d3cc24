//! The **server** of an SMTP URL: its host, the encryption of the connection, and the login.
//!
//! It opens no connection. It allows unencrypted connections only to this machine.

use std::fmt;

use campanile::channel::SetupError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::local::is_this_machine;

/// Submission (RFC 6409), submission over TLS (RFC 8314).
const SUBMISSION: u16 = 587;
const SUBMISSION_OVER_TLS: u16 = 465;

const FORM: &str = "an SMTP URL is `smtps://user:password@host` (TLS), `smtp://user:password@host` (STARTTLS), \
                    or `smtp://localhost:1025` (this machine, unencrypted)";

pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    login: Option<Login>,
}

pub(super) enum Encryption {
    /// TLS from the first byte.
    Tls(TlsParameters),
    /// TLS by the command `STARTTLS`, which is required.
    StartTls(TlsParameters),
    /// None: the server is on this machine.
    Plain,
}

struct Login {
    user: String,
    password: SecretString,
}

impl Server {
    /// No message repeats the URL, because it contains the password.
    pub(super) fn parse(url: &SecretString) -> Result<Self, SetupError> {
        let refuse = |reason: &str| SetupError::new(format!("the SMTP URL {reason}; {FORM}"));
        let url = Url::parse(url.expose_secret()).map_err(|_| refuse("does not parse"))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| refuse("has no host"))?
            .trim_matches(['[', ']'])
            .to_owned();
        let tls = || {
            TlsParameters::new(host.clone()).map_err(|_| {
                refuse("cannot be used: no TLS certificates were found on this machine")
            })
        };
        let (encryption, port) = match url.scheme() {
            "smtps" => (Encryption::Tls(tls()?), SUBMISSION_OVER_TLS),
            "smtp" if is_this_machine(&host) => (Encryption::Plain, SUBMISSION),
            "smtp" => (Encryption::StartTls(tls()?), SUBMISSION),
            _ => return Err(refuse("has an unknown scheme")),
        };
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| refuse("has a user or password that is not UTF-8"))
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some(Login {
                user: decode(user)?,
                password: decode(password)?.into(),
            }),
            _ => {
                return Err(refuse(
                    "has a user without a password, or a password without a user",
                ));
            }
        };
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            encryption,
            login,
        })
    }

    pub(super) fn credentials(&self) -> Option<Credentials> {
        self.login.as_ref().map(|login| {
            Credentials::new(
                login.user.clone(),
                login.password.expose_secret().to_owned(),
            )
        })
    }

    /// The texts that must not appear in a log even if the server repeats them.
    pub(super) fn secret(&self) -> &str {
        self.login
            .as_ref()
            .map_or("", |login| login.password.expose_secret())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encryption = match self.encryption {
            Encryption::Tls(_) => "TLS",
            Encryption::StartTls(_) => "STARTTLS",
            Encryption::Plain => "none",
        };
        f.debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("encryption", &encryption)
            .field("login", &self.login.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, String> {
        Server::parse(&url.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_determines_host_port_encryption_and_login() {
        for (url, debug) in [
            (
                "smtps://ada:pw@mail.example",
                r#"Server { host: "mail.example", port: 465, encryption: "TLS", login: true }"#,
            ),
            (
                "smtp://ada:pw@mail.example",
                r#"Server { host: "mail.example", port: 587, encryption: "STARTTLS", login: true }"#,
            ),
            (
                "smtp://mail.example:2525",
                r#"Server { host: "mail.example", port: 2525, encryption: "STARTTLS", login: false }"#,
            ),
            (
                "smtp://localhost:1025",
                r#"Server { host: "localhost", port: 1025, encryption: "none", login: false }"#,
            ),
            (
                "smtp://127.0.0.1:1025",
                r#"Server { host: "127.0.0.1", port: 1025, encryption: "none", login: false }"#,
            ),
            (
                "smtp://[::1]:1025",
                r#"Server { host: "::1", port: 1025, encryption: "none", login: false }"#,
            ),
            (
                "smtp://127.0.0.1.mail.example",
                r#"Server { host: "127.0.0.1.mail.example", port: 587, encryption: "STARTTLS", login: false }"#,
            ),
        ] {
            assert_eq!(format!("{:?}", parse(url).unwrap()), debug);
        }
    }

    #[test]
    fn user_and_password_are_decoded() {
        let server = parse("smtp://ada%40example.com:p%2F%3Aw%2B@localhost").unwrap();
        assert_eq!(server.secret(), "p/:w+");
        assert_eq!(
            server.credentials(),
            Some(Credentials::new("ada@example.com".into(), "p/:w+".into()))
        );
    }

    #[test]
    fn a_bad_url_is_rejected_without_repeating_it() {
        for (url, reason) in [
            ("hunter2", "does not parse"),
            ("https://ada:hunter2@mail.example", "has an unknown scheme"),
            ("smtp://ada:hunter2@", "does not parse"),
            ("smtps:///hunter2", "has no host"),
            (
                "smtps://hunter2@mail.example",
                "has a user without a password",
            ),
            (
                "smtps://:hunter2@mail.example",
                "has a user without a password",
            ),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(error.contains("smtp://localhost:1025"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
