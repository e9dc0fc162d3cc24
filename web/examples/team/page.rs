//! The **pages** of the app, with the bell in their header.

use axum::http::header;
use axum::response::{Html, IntoResponse};
use minijinja::{Environment, context};

use crate::members::Role;

/// The name of the template; `.html` makes minijinja escape its values.
const PAGE: &str = "page.html";

pub fn sign_in() -> Html<String> {
    render(&context! { user => "" })
}

pub fn team(user: &str, members: &[(String, String)]) -> Html<String> {
    let members: Vec<_> = members
        .iter()
        .map(|(name, role)| context! { name, role })
        .collect();
    render(&context! { user, members, roles => Role::ALL.map(Role::name) })
}

fn render(shown: &minijinja::Value) -> Html<String> {
    let mut templates = Environment::new();
    templates
        .add_template(PAGE, include_str!("page.html"))
        .expect("the template is well-formed");
    let page = templates
        .get_template(PAGE)
        .and_then(|page| page.render(shown));
    Html(page.expect("the page has what it shows"))
}

pub async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css")],
        include_str!("team.css"),
    )
}
