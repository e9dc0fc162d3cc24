//! Which **mail** sender is used: a capture, or a real sender set up by the email channel's own variables.

use campanile::channel::SetupError;
use campanile_email::{Capture, EmailSettings};

use crate::outage::Outages;

/// How mails are sent or captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[non_exhaustive]
pub enum MailSender {
    /// Mails are captured and shown; nothing leaves the machine.
    #[default]
    Capture,
    /// Mails are sent over the SMTP server of `CAMPANILE_SMTP_URL`.
    Smtp,
    /// Mails are sent over Resend, with the key `CAMPANILE_RESEND_API_KEY`.
    Resend,
}

/// The sender of captured mails.
const FROM: &str = "Tower Works <no-reply@tower.example>";

impl MailSender {
    /// Whether mails leave the machine.
    #[must_use]
    pub const fn is_real(self) -> bool {
        !matches!(self, Self::Capture)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Smtp => "smtp",
            Self::Resend => "resend",
        }
    }

    /// The settings of the email channel, with the outage switch before the sender, and the capture if there is one.
    pub(crate) fn settings(
        self,
        outages: &Outages,
    ) -> Result<(EmailSettings, Option<Capture>), SetupError> {
        let name = campanile::channel::EMAIL.name();
        if !self.is_real() {
            let capture = Capture::in_memory();
            let settings = EmailSettings::new(FROM, outages.around(name, capture.clone()));
            return Ok((settings, Some(capture)));
        }
        let settings = EmailSettings::from_variables(|variable| match variable {
            "CAMPANILE_EMAIL_SENDER" => Some(self.name().to_owned()),
            other => std::env::var(other).ok(),
        })?;
        let mailer = outages.around(name, settings.mailer);
        let settings = EmailSettings {
            mailer: std::sync::Arc::new(mailer),
            ..settings
        };
        Ok((settings, None))
    }
}
