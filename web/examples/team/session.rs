//! Who is **signed in**: anybody, by any name, which is enough for an example. It is part of the app, not of campanile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Form;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use rand::RngExt as _;
use serde::Deserialize;

use crate::members::Failure;
use crate::{App, members, page};

const COOKIE: &str = "team_session";

/// The names of the signed-in users, by session id.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<String, String>>>);

impl Sessions {
    fn begin(&self, name: &str) -> String {
        let session = format!("{:032x}", rand::rng().random::<u128>());
        self.with(|sessions| sessions.insert(session.clone(), name.to_owned()));
        session
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The signed-in user. Everybody else gets the sign-in page.
pub struct User {
    pub name: String,
}

impl FromRequestParts<App> for User {
    type Rejection = (StatusCode, Html<String>);

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let name =
            session(parts).and_then(|id| app.sessions.with(|sessions| sessions.get(id).cloned()));
        name.map(|name| Self { name })
            .ok_or_else(|| (StatusCode::UNAUTHORIZED, page::sign_in()))
    }
}

fn session(parts: &Parts) -> Option<&str> {
    let cookies = parts.headers.get(header::COOKIE)?.to_str().ok()?;
    let mut cookies = cookies.split("; ").filter_map(|it| it.split_once('='));
    cookies.find_map(|(name, value)| (name == COOKIE).then_some(value))
}

#[derive(Deserialize)]
pub struct SignIn {
    name: members::Name,
}

pub async fn sign_in(
    State(app): State<App>,
    Form(SignIn { name }): Form<SignIn>,
) -> Result<Response, Failure> {
    members::join(&app, &name).await?;
    let cookie = format!(
        "{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax",
        app.sessions.begin(&name.0)
    );
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

pub async fn sign_out(State(app): State<App>, user: User) -> Redirect {
    app.sessions
        .with(|sessions| sessions.retain(|_, name| *name != user.name));
    Redirect::to("/")
}
