//! The **settings** of the channel: the sender of its mails, and the mailer that sends them.
//!
//! Everything is checked at start-up, with messages that say what to do. No secret appears in a message or in `Debug`.

use std::fmt;
use std::sync::Arc;

use campanile::channel::{Setup, SetupError};

use crate::capture::Capture;
use crate::mailbox::Mailbox;
use crate::mailer::Mailer;

const FROM: &str = "CAMPANILE_EMAIL_FROM";
const REPLY_TO: &str = "CAMPANILE_EMAIL_REPLY_TO";
const SENDER: &str = "CAMPANILE_EMAIL_SENDER";
const CAPTURE_DIR: &str = "CAMPANILE_EMAIL_CAPTURE_DIR";

/// The settings of the email channel, for `Dispatcher::builder().with(..)`.
///
/// Without them, the channel reads environment variables; with them, it ignores the environment.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use campanile_email::{Capture, EmailSettings};
///
/// let settings = EmailSettings {
///     from: "Acme <no-reply@acme.example>".into(),
///     reply_to: Some("support@acme.example".into()),
///     mailer: Arc::new(Capture::in_memory()),
/// };
/// // The same, shorter:
/// let settings = EmailSettings::new("Acme <no-reply@acme.example>", Capture::in_memory())
///     .with_reply_to("support@acme.example");
/// # let _ = settings;
/// ```
#[derive(Clone)]
pub struct EmailSettings {
    /// The sender of mails: `Acme <no-reply@acme.example>`, or only the address.
    pub from: String,
    /// The recipient of replies, if not the sender.
    pub reply_to: Option<String>,
    /// The mailer: [`Capture`], `Smtp`, `Resend`, or your own.
    pub mailer: Arc<dyn Mailer>,
}

impl EmailSettings {
    /// Mails from this address, sent by this mailer.
    pub fn new(from: impl Into<String>, mailer: impl Mailer) -> Self {
        Self {
            from: from.into(),
            reply_to: None,
            mailer: Arc::new(mailer),
        }
    }

    /// The same, with replies to this address.
    #[must_use]
    pub fn with_reply_to(self, reply_to: impl Into<String>) -> Self {
        Self {
            reply_to: Some(reply_to.into()),
            ..self
        }
    }

    /// The settings from the environment variables that the README lists.
    ///
    /// # Errors
    ///
    /// Every variable that is missing or wrong, in one message.
    pub fn from_environment() -> Result<Self, SetupError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The settings from variables that are looked up by name: the environment, a secrets file, a map in a test. An empty
    /// variable counts as not set.
    ///
    /// # Errors
    ///
    /// Every variable that is missing or wrong, in one message.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SetupError> {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let from = variable(FROM).ok_or_else(|| {
            SetupError::missing(
                "the address that mails are from",
                ".with(EmailSettings::new(\"Acme <no-reply@acme.example>\", ..))",
                FROM,
            )
        });
        let mailer = mailer_from(&variable);
        match (from, mailer) {
            (Ok(from), Ok(mailer)) => {
                let reply_to = variable(REPLY_TO);
                Ok(Self {
                    from,
                    reply_to,
                    mailer,
                })
            }
            (from, mailer) => Err(all_of(&[from.err(), mailer.err()])),
        }
    }

    /// The settings of the channel: those given in code if there are any, otherwise those in the environment.
    pub(crate) fn of(setup: &Setup<'_>) -> Result<Self, SetupError> {
        match setup.settings::<Self>() {
            Some(settings) => Ok(settings.clone()),
            None => Self::from_variables(|name| setup.variable(name)),
        }
    }

    /// The two mailboxes, parsed.
    pub(crate) fn mailboxes(&self) -> Result<(Mailbox, Option<Mailbox>), SetupError> {
        let parse = |what: &str, text: &str| {
            text.parse::<Mailbox>().map_err(|error| {
                SetupError::new(format!("the {what} of mails is refused: {error}"))
            })
        };
        let from = parse("`from`", &self.from);
        let reply_to = self
            .reply_to
            .as_deref()
            .map(|text| parse("`reply_to`", text))
            .transpose();
        match (from, reply_to) {
            (Ok(from), Ok(reply_to)) => Ok((from, reply_to)),
            (from, reply_to) => Err(all_of(&[from.err(), reply_to.err()])),
        }
    }
}

impl fmt::Debug for EmailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailSettings")
            .field("from", &self.from)
            .field("reply_to", &self.reply_to)
            .finish_non_exhaustive()
    }
}

fn mailer_from(variable: &impl Fn(&str) -> Option<String>) -> Result<Arc<dyn Mailer>, SetupError> {
    let Some(sender) = variable(SENDER) else {
        return Err(SetupError::missing(
            "what carries mails",
            ".with(EmailSettings::new(.., Capture::in_memory()))",
            "CAMPANILE_EMAIL_SENDER=capture|smtp|resend",
        ));
    };
    match sender.as_str() {
        "capture" => Ok(match variable(CAPTURE_DIR) {
            Some(folder) => Arc::new(Capture::in_folder(folder)?),
            None => Arc::new(Capture::in_memory()),
        }),
        #[cfg(feature = "smtp")]
        "smtp" => Ok(Arc::new(crate::smtp::Smtp::from_variables(variable)?)),
        #[cfg(feature = "resend")]
        "resend" => Ok(Arc::new(crate::resend::Resend::from_variables(variable)?)),
        #[cfg(not(feature = "smtp"))]
        "smtp" => Err(left_out("smtp")),
        #[cfg(not(feature = "resend"))]
        "resend" => Err(left_out("resend")),
        _ => Err(SetupError::new(format!(
            "`{SENDER}` is `{sender}`, and may be `capture`, `smtp` or `resend`"
        ))),
    }
}

#[cfg(not(all(feature = "smtp", feature = "resend")))]
fn left_out(sender: &str) -> SetupError {
    SetupError::new(format!(
        "`{SENDER}` is `{sender}`, and this build leaves it out: enable the feature `{sender}` of campanile-email"
    ))
}

/// Several problems in one message.
fn all_of<const N: usize>(problems: &[Option<SetupError>; N]) -> SetupError {
    let problems: Vec<String> = problems.iter().flatten().map(ToString::to_string).collect();
    SetupError::new(problems.join("; "))
}
