//! The **document**: the routes' own descriptions, completed with what all of them share.

use axum::http::{HeaderName, header};
use utoipa::openapi::path::{HttpMethod, Operation, PathItem};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, Response,
};

use crate::problem::{
    BODY_TOO_LARGE, CROSS_ORIGIN, FORM_REQUIRED, INTERNAL, INVALID_BODY, INVALID_CURSOR,
    INVALID_LIMIT, INVALID_QUERY, JSON_REQUIRED, KINDS, Kind, MALFORMED_BODY, OTHER_ORGANIZATION,
    TOO_MANY_CONNECTIONS, TOO_MANY_REQUESTS, TYPES, UNAVAILABLE, UNKNOWN_CATEGORY, UNKNOWN_CHANNEL,
};

const MEDIA_TYPE: &str = "application/problem+json";

/// Adds what the routes share: who may call them, and their problems.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Notifications")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The inbox and the preferences of the signed-in user. Keys are camelCase, times RFC 3339 in UTC. \
             Every error is a problem by RFC 9457; its `type` is for programs, its `detail` for people.",
        ))
        .build();
    // The paths are relative to where the host has nested the routes.
    document.servers = Some(vec![utoipa::openapi::Server::new(".")]);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(path, &method, operation);
        }
    }
    let components = document.components.take().unwrap_or_default();
    document.components = Some(
        ComponentsBuilder::from(components)
            .schema("Problem", problem())
            .build(),
    );
    document
}

/// The document as an answer.
pub(crate) fn json(document: &OpenApi) -> ([(HeaderName, &'static str); 2], String) {
    let text = document.to_json().expect("a document can be written");
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

fn operations(item: &mut PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    [
        (HttpMethod::Get, item.get.as_mut()),
        (HttpMethod::Post, item.post.as_mut()),
        (HttpMethod::Patch, item.patch.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
    .collect()
}

fn complete_operation(path: &str, method: &HttpMethod, operation: &mut Operation) {
    // The host answers users who are not signed in.
    add(
        operation,
        "401",
        "Nobody is signed in; the answer is the app's own".to_owned(),
    );
    let mut kinds = vec![TOO_MANY_REQUESTS, INTERNAL, UNAVAILABLE];
    let is_inbox = path.starts_with("/inbox");
    if *method == HttpMethod::Get && path != "/preferences" {
        kinds.push(INVALID_QUERY);
    }
    if path == "/inbox" {
        kinds.extend([INVALID_LIMIT, INVALID_CURSOR]);
    }
    if path == "/inbox/events" {
        kinds.push(TOO_MANY_CONNECTIONS);
    }
    if is_inbox && path != "/inbox/{id}" {
        kinds.push(OTHER_ORGANIZATION);
    }
    if operation.request_body.is_some() {
        kinds.extend([CROSS_ORIGIN, MALFORMED_BODY, BODY_TOO_LARGE, INVALID_BODY]);
        kinds.push(if path == "/settings" {
            FORM_REQUIRED
        } else {
            JSON_REQUIRED
        });
    }
    if path == "/preferences" && *method == HttpMethod::Patch {
        kinds.extend([UNKNOWN_CATEGORY, UNKNOWN_CHANNEL]);
    }
    kinds.sort_by_key(|kind| kind.status);
    for same in kinds.chunk_by(|one, other| one.status == other.status) {
        let told: Vec<_> = same
            .iter()
            .map(|Kind { name, title, .. }| format!("`{name}`: {title}"))
            .collect();
        add(operation, same[0].status.as_str(), told.join("; "));
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
            && status != "401"
            // The settings page answers errors with a page, beside problems.
            && (response.content.is_empty() || kinds.iter().any(|kind| kind.status.as_str() == status))
        {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build();
            response
                .content
                .insert(MEDIA_TYPE.to_owned(), RefOr::T(content));
        }
    }
}

fn add(operation: &mut Operation, status: &str, description: String) {
    let responses = &mut operation.responses.responses;
    responses
        .entry(status.to_owned())
        .or_insert_with(|| RefOr::T(Response::new(description)));
}

fn problem() -> utoipa::openapi::Schema {
    let types = KINDS.iter().map(|kind| format!("{TYPES}{}", kind.name));
    let text = |description: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
    };
    let status = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)));
    ObjectBuilder::new()
        .description(Some(
            "An error, by RFC 9457. Additional members are described where they occur.",
        ))
        .property(
            "type",
            text("The kind of problem; stable").enum_values(Some(types)),
        )
        .property("title", text("The kind in words"))
        .property("status", status)
        .property("detail", text("What was wrong with this request, in words"))
        .property(
            "known",
            ObjectBuilder::new()
                .schema_type(Type::Array)
                .description(Some("The known names, where an unknown one was given")),
        )
        .property("reason", text("Why a critical channel cannot be muted"))
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .into()
}
