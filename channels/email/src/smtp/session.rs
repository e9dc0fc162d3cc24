//! One **session** with an SMTP server, step by step.
//!
//! Each step is noted before it begins, and has its own timeout. This file does not interpret replies.

use std::error::Error as _;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};

use super::reply::subject;
use super::server::{Encryption, Server};
use super::verdict::{Failure, Step};
use crate::mail::Mail;
use crate::redact::{mask, redact};

/// How long a server may take to confirm that an idle session is still alive.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the server may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// For each step before the message.
    pub(super) step: Duration,
    /// For the message and its reply.
    pub(super) reply: Duration,
}

pub(super) struct Session {
    connection: AsyncSmtpConnection,
}

impl Session {
    /// Connects, encrypts and logs in.
    pub(super) async fn open(
        server: &Server,
        timeouts: Timeouts,
        step: &mut Step,
    ) -> Result<Self, Failure> {
        *step = Step::Connect;
        let (secret, time) = (server.secret(), timeouts.step);
        let name = ClientId::default();
        let tls = match &server.encryption {
            Encryption::Tls(parameters) => Some(parameters.clone()),
            Encryption::StartTls(_) | Encryption::Plain => None,
        };
        let address = (server.host.as_str(), server.port);
        // Until the greeting and the reply to `EHLO`.
        let connecting = AsyncSmtpConnection::connect_tokio1(address, None, &name, tls, None);
        let mut connection = within(time, secret, connecting).await?;
        if let Encryption::StartTls(parameters) = &server.encryption {
            if !connection.can_starttls() {
                return Err(Failure::Unsupported("the server does not offer STARTTLS"));
            }
            let encrypting = connection.starttls(parameters.clone(), &name);
            within(time, secret, encrypting).await?;
        }
        if let Some(credentials) = server.credentials() {
            *step = Step::Login;
            let offered = connection
                .server_info()
                .get_auth_mechanism(DEFAULT_MECHANISMS);
            if offered.is_none() {
                return Err(Failure::Unsupported(
                    "the server offers neither PLAIN nor LOGIN",
                ));
            }
            let logging_in = connection.auth(DEFAULT_MECHANISMS, &credentials);
            within(time, secret, logging_in).await?;
        }
        Ok(Self { connection })
    }

    /// Whether the session can send another mail; resets the state left by a rejected one.
    pub(super) async fn is_ready(&mut self) -> bool {
        let ready = self.connection.command(Rset);
        matches!(tokio::time::timeout(READY_TIMEOUT, ready).await, Ok(Ok(_)))
    }

    /// Sends one mail, and returns the server's final reply.
    pub(super) async fn send(
        &mut self,
        mail: &Mail,
        message: &[u8],
        secret: &str,
        timeouts: Timeouts,
        step: &mut Step,
    ) -> Result<String, Failure> {
        let (from, to) = (mail.from.envelope(), mail.to.envelope());
        let mut parameters = Vec::new();
        if !(mail.from.address().is_ascii() && mail.to.address().is_ascii()) {
            if !self
                .connection
                .server_info()
                .supports_feature(Extension::SmtpUtfEight)
            {
                *step = Step::Recipient;
                return Err(Failure::Unsupported(
                    "the address is not ASCII, and the server accepts only ASCII addresses",
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let time = timeouts.step;
        *step = Step::Sender;
        let sender = MailFrom::new(Some(from), parameters);
        within(time, secret, self.connection.command(sender)).await?;
        *step = Step::Recipient;
        let recipient = Rcpt::new(to, Vec::new());
        within(time, secret, self.connection.command(recipient)).await?;
        *step = Step::Data;
        within(time, secret, self.connection.command(Data)).await?;
        *step = Step::Message;
        let handing_over = self.connection.message(message);
        let receipt = within(timeouts.reply, secret, handing_over).await?;
        let words: Vec<&str> = receipt.message().collect();
        Ok(redact(&words.join(" "), &[secret]))
    }
}

/// Runs one step with its timeout.
async fn within<T>(
    time: Duration,
    secret: &str,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(time, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failure(&error, secret)),
        Err(_) => Err(Failure::TimedOut),
    }
}

fn failure(error: &Error, secret: &str) -> Failure {
    match error.status() {
        Some(code) => {
            // All lines of the reply.
            let words = error.source().map(ToString::to_string);
            refusal(code.into(), &words.unwrap_or_default(), secret)
        }
        None if error.is_timeout() => Failure::TimedOut,
        None => Failure::Broken(redact(&error.to_string(), &[secret])),
    }
}

/// A rejecting reply with its full text.
pub(super) fn refusal(code: u16, words: &str, secret: &str) -> Failure {
    Failure::Reply {
        code,
        subject: subject(&mask(words, &[secret])),
        text: redact(words, &[secret]),
    }
}
