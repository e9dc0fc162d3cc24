//! The **members** of the team: the app's own table, and the two actions that notify somebody.

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use campanile::NotifiableEvent as _;
use campanile::sqlx::{self, SqlitePool};
use serde::{Deserialize, Serialize};

use crate::notifications::{Invited, RoleChanged};
use crate::session::User;
use crate::{App, page};

pub async fn create(pool: &SqlitePool) -> sqlx::Result<()> {
    sqlx::query("create table members (name text primary key, role text not null)")
        .execute(pool)
        .await?;
    Ok(())
}

/// A valid name.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub struct Name(pub String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.trim();
        let fits = (1..=40).contains(&name.len()) && name.chars().all(char::is_alphanumeric);
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err("a name has 1 to 40 letters and digits")
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Owner,
    Member,
    Guest,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Owner, Self::Member, Self::Guest];

    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
            Self::Guest => "guest",
        }
    }
}

/// A person and their role.
#[derive(Deserialize)]
pub struct Member {
    name: Name,
    role: Role,
}

pub async fn show(State(app): State<App>, user: User) -> Result<Html<String>, Failure> {
    let members: Vec<(String, String)> =
        sqlx::query_as("select name, role from members order by name")
            .fetch_all(&app.pool)
            .await?;
    Ok(page::team(&user.name, &members))
}

pub async fn invite(
    State(app): State<App>,
    User { name: by }: User,
    Form(Member { name, role }): Form<Member>,
) -> Result<Redirect, Failure> {
    let mut transaction = app.pool.begin_with("begin immediate").await?;
    sqlx::query("insert into members (name, role) values ($1, $2) on conflict do nothing")
        .bind(&name.0)
        .bind(role.name())
        .execute(&mut *transaction)
        .await?;
    let notice = Invited { by, role }.to([name.0]);
    let _ = app.dispatcher.enqueue_in(&mut transaction, notice).await?;
    transaction.commit().await?;
    Ok(Redirect::to("/"))
}

pub async fn change_role(
    State(app): State<App>,
    user: User,
    Form(Member { name, role }): Form<Member>,
) -> Result<Redirect, Failure> {
    let mut transaction = app.pool.begin_with("begin immediate").await?;
    let changed = sqlx::query("update members set role = $2 where name = $1 and role <> $2")
        .bind(&name.0)
        .bind(role.name())
        .execute(&mut *transaction)
        .await?;
    if changed.rows_affected() > 0 {
        let changed = RoleChanged {
            by: user.name,
            role,
        };
        let notice = changed.about(&name.0).to([&name.0]);
        let _ = app.dispatcher.enqueue_in(&mut transaction, notice).await?;
    }
    transaction.commit().await?;
    Ok(Redirect::to("/"))
}

/// Adds a user who signs in to the team, with a mail address.
pub async fn join(app: &App, Name(name): &Name) -> Result<(), Failure> {
    sqlx::query("insert into members (name, role) values ($1, 'owner') on conflict do nothing")
        .bind(name)
        .execute(&app.pool)
        .await?;
    let address = format!("{}@example.com", name.to_lowercase());
    app.dispatcher
        .addresses()
        .set(name, "email", &address)
        .await?;
    Ok(())
}

/// An error, which is logged; here the log is the terminal.
pub struct Failure(Box<dyn std::error::Error>);

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong.").into_response()
    }
}
