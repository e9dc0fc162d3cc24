//! The **options** of the command line, each of which is also an environment variable.

use std::net::{SocketAddr, ToSocketAddrs as _};

use campanile_inspector::{Access, ForeignRows, MailSender, Reach, Settings};
use clap::Parser;
use clap::builder::FalseyValueParser;

/// Fire events and watch every channel: the runnable tour of campanile.
///
/// Starts a web page on this machine. Without options nothing is left behind: the database is in memory, and mails are
/// captured and shown instead of sent.
///
/// With a command it runs that command on the database of `--database` instead, and opens no page.
#[derive(Parser)]
#[command(name = "campanile-inspector", version, max_term_width = 100)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "CAMPANILE_LISTEN", default_value = "127.0.0.1:4700", value_parser = address)]
    listen: SocketAddr,

    /// Listen where other machines can reach it too
    ///
    /// Anybody who reaches the inspector can fire events and read every inbox. It answers by address only, not by name.
    #[arg(long, env = "CAMPANILE_ALLOW_REMOTE", value_parser = FalseyValueParser::new())]
    allow_remote: bool,

    /// The database: `sqlite::memory:`, `sqlite://FILE` or `postgres://USER@HOST/NAME`
    ///
    /// campanile's tables are created or brought up to date at the start.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CAMPANILE_DATABASE",
        default_value = "sqlite::memory:",
        hide_env_values = true
    )]
    pub(crate) database: String,

    /// Start on a database that holds notifications of another app
    #[arg(long, env = "CAMPANILE_ACCEPT_FOREIGN_ROWS", value_parser = FalseyValueParser::new())]
    accept_foreign_rows: bool,

    /// How mails are sent or captured
    ///
    /// `smtp` and `resend` are set up by the email channel's own variables, `CAMPANILE_EMAIL_FROM` and so on. With them real mail
    /// is sent, and every call needs the token that is printed at the start.
    #[arg(
        long,
        value_name = "SENDER",
        env = "CAMPANILE_EMAIL_SENDER",
        default_value = "capture"
    )]
    mail: MailSender,

    #[command(flatten)]
    pub(crate) output: campanile_cli::Output,

    #[command(subcommand)]
    pub(crate) command: Option<campanile_cli::Command>,
}

impl Options {
    /// Where to listen, if that is allowed.
    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        if self.allow_remote || self.listen.ip().is_loopback() {
            return Ok(self.listen);
        }
        Err(format!(
            "{} can be reached from other machines, and anybody who reaches the inspector can fire events and read every inbox: \
             listen on 127.0.0.1, or say --allow-remote",
            self.listen
        ))
    }

    /// Who may call.
    pub(crate) fn access(&self) -> Access {
        let reach = if self.listen.ip().is_loopback() {
            Reach::Loopback
        } else {
            Reach::AnyAddress
        };
        if self.mail.is_real() {
            Access::with_token(reach)
        } else {
            Access::open(reach)
        }
    }

    /// How the inspector is started.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            mail: self.mail,
            foreign_rows: if self.accept_foreign_rows {
                ForeignRows::Accepted
            } else {
                ForeignRows::Refused
            },
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|error| format!("write it as `127.0.0.1:4700`: {error}"))?
        .next()
        .ok_or_else(|| "it does not resolve to an address".to_owned())
}

/// Whether the database exists only in this process, so that it is empty at the start.
pub(crate) fn is_in_memory(database: &str) -> bool {
    database.starts_with("sqlite")
        && (database.contains(":memory:") || database.contains("mode=memory"))
}

/// The database's URL to show: without its password, and without parameters, which may contain one.
pub(crate) fn shown(database: &str) -> String {
    let Ok(mut url) = url::Url::parse(database) else {
        return "a database".to_owned();
    };
    url.set_query(None);
    // A URL without a host has no password to hide.
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn options(arguments: &[&str]) -> Options {
        let name = ["campanile-inspector"];
        Options::parse_from(name.iter().chain(arguments))
    }

    #[test]
    fn the_options_are_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn it_listens_on_loopback_only_unless_allowed() {
        assert!(options(&[]).address().is_ok());
        assert!(options(&["--listen", "[::1]:0"]).address().is_ok());
        assert!(options(&["--listen", "localhost:0"]).address().is_ok());
        let refusal = options(&["--listen", "0.0.0.0:4700"])
            .address()
            .unwrap_err();
        assert!(refusal.contains("--allow-remote"), "{refusal}");
        assert!(
            options(&["--listen", "0.0.0.0:4700", "--allow-remote"])
                .address()
                .is_ok()
        );
    }

    #[test]
    fn a_token_is_needed_where_real_mail_is_sent() {
        assert!(options(&[]).access().token().is_none());
        assert!(options(&["--mail", "smtp"]).access().token().is_some());
        assert!(options(&["--mail", "resend"]).access().token().is_some());
    }

    #[test]
    fn a_password_is_not_shown() {
        for (url, text) in [
            ("sqlite::memory:", "sqlite::memory:"),
            ("sqlite://tour.db?mode=rwc", "sqlite://tour.db"),
            (
                "postgres://ada:secret@db.example/tour",
                "postgres://ada@db.example/tour",
            ),
            (
                "postgres://db.example/tour?user=ada&password=secret",
                "postgres://db.example/tour",
            ),
            ("no url: secret", "a database"),
        ] {
            assert_eq!(shown(url), text);
        }
    }
}
