//! Everything that the app declares about notifications: the events, how they are sent, and who is signed in.

use axum::Router;
use campanile::channel::{EMAIL, INBOX};
use campanile::{Database, Dispatcher, describe_category, notifiable_event, sqlx::SqlitePool};
use campanile_email::{Capture, EmailSettings};
use campanile_web::{Settings, SettingsPage, Viewer};

use crate::{App, Stopping, closed, members::Role, session::User};

describe_category!("team", "Who is in your team, and as what");

/// Somebody invites you to a team.
#[notifiable_event(
    "team.member.invited",
    category = "team",
    channels(
        INBOX(
            title = "{{ by }} invited you",
            body = "You are {{ role }} in the team."
        ),
        EMAIL(
            subject = "{{ by }} invited you",
            html = "<p>You are {{ role }} in the team.</p>"
        ),
    )
)]
pub struct Invited {
    pub by: String,
    pub role: Role,
}

/// Your role in a team changes.
#[notifiable_event(
    "team.role.changed",
    category = "team",
    dedup(by(subject, role), until = changed),
    channels(INBOX(title = "You are {{ role }} now", body = "{{ by }} changed your role."))
)]
pub struct RoleChanged {
    pub by: String,
    pub role: Role,
}

/// `User` is the app's own extractor of who is signed in.
impl Viewer for User {
    fn user_id(&self) -> &str {
        &self.name
    }
}

pub async fn dispatcher(pool: SqlitePool) -> Result<Dispatcher, Box<dyn std::error::Error>> {
    let database = Database::from(pool);
    database.migrate().await?;
    let mail = EmailSettings::new("Team <team@example.com>", Capture::in_memory());
    let builder = Dispatcher::builder().database(database);
    Ok(builder.with(mail).build()?)
}

pub fn routes(dispatcher: Dispatcher, stop: Stopping) -> Router<App> {
    let settings = Settings::default().shutdown(closed(stop));
    campanile_web::router::<App, User>(dispatcher, settings.page(SettingsPage::back_to("/")))
}
