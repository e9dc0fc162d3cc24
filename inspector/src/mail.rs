//! Which **mail** sender is used: captured here, or really sent over what the email channel's own variables describe.

use campanile::channel::SetupError;
use campanile_email::{Capture, EmailSettings};

use crate::outage::Outages;

/// What becomes of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[non_exhaustive]
pub enum MailSender {
    /// They are kept here and shown; nothing leaves the machine.
    #[default]
    Capture,
    /// They go out over the SMTP server of `CAMPANILE_SMTP_URL`.
    Smtp,
    /// They go out over Resend, with the key of `CAMPANILE_RESEND_API_KEY`.
    Resend,
}

/// Who captured mails are from.
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
