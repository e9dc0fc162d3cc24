//! The **page** that shows the document: plain HTML, rendered once, without a script and without anything from elsewhere.

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::OpenApi;

const STYLE: &str = include_str!("docs.css");

/// A text with its headers, to be answered as it is.
type Answer = (HeaderMap, String);

/// The document as JSON.
pub(crate) fn json(document: &OpenApi) -> Answer {
    let text = document.to_json().expect("a document can be written");
    (headers("application/json", None), text)
}

/// The document as a page.
pub(crate) fn page(document: &OpenApi) -> Answer {
    let value = serde_json::to_value(document).expect("a document can be written");
    // Nothing but this very style: no script, no image, no frame.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(Sha256::digest(STYLE))
    );
    (
        headers("text/html; charset=utf-8", Some(&policy)),
        html(&value),
    )
}

fn headers(kind: &'static str, policy: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(policy) = policy.and_then(|policy| HeaderValue::try_from(policy).ok()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers
}

fn html(document: &Value) -> String {
    let mut body = String::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            if operation["responses"].is_object() {
                operation_of(&mut body, method, path, operation);
            }
        }
    }
    body.push_str("<h2>What is sent and answered</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let _ = write!(body, "<section id=\"{0}\"><h3>{0}</h3>", text(name));
        let _ = write!(body, "<p>{}</p>", said(&schema["description"]));
        table(
            &mut body,
            ["member", "type", ""],
            members(&schema["properties"]).map(|(member, its)| {
                [
                    format!("<code>{}</code>", text(member)),
                    kind(its),
                    said(&its["description"]),
                ]
            }),
        );
        body.push_str("</section>");
    }
    let info = &document["info"];
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1><p>{about}</p><p><a href=\"openapi.json\">openapi.json</a></p>{body}</main></body></html>",
        title = said(&info["title"]),
        about = said(&info["description"]),
    )
}

fn operation_of(body: &mut String, method: &str, path: &str, operation: &Value) {
    let method = method.to_uppercase();
    let _ = write!(
        body,
        "<section><h2><code>{} {}</code></h2><p>{}</p>",
        text(&method),
        text(path),
        said(&operation["description"])
    );
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    table(
        body,
        ["parameter", "in", ""],
        parameters.map(|its| {
            let name = format!("<code>{}</code>", said(&its["name"]));
            let about = format!("{} {}", said(&its["description"]), kind(&its["schema"]));
            [name, said(&its["in"]), about]
        }),
    );
    if let Some((_, content)) = members(&operation["requestBody"]["content"]).next() {
        let _ = write!(body, "<p>Body: {}</p>", kind(&content["schema"]));
    }
    table(
        body,
        ["answer", "", ""],
        members(&operation["responses"]).map(|(status, its)| {
            let content = members(&its["content"]).next();
            let content = content.map(|(_, content)| kind(&content["schema"]));
            [
                text(status),
                said(&its["description"]),
                content.unwrap_or_default(),
            ]
        }),
    );
    body.push_str("</section>");
}

/// A table, if it has rows. The cells are markup.
fn table(body: &mut String, heads: [&str; 3], rows: impl Iterator<Item = [String; 3]>) {
    let rows = rows.fold(String::new(), |mut rows, [first, second, third]| {
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{first}</th><td>{second}</td><td>{third}</td></tr>"
        );
        rows
    });
    if !rows.is_empty() {
        let heads = heads
            .map(|head| format!("<th scope=\"col\">{head}</th>"))
            .concat();
        let _ = write!(
            body,
            "<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        );
    }
}

/// A schema in a word: a link to it, or its type.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|its| its.rsplit('/').next())
    {
        return format!("<a href=\"#{0}\">{0}</a>", text(name));
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().map(said).collect::<Vec<_>>().join(", ");
    }
    let item = match &schema["items"] {
        Value::Null => String::new(),
        items => format!(" of {}", kind(items)),
    };
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(said).collect::<Vec<_>>().join(" or "),
        one => said(one),
    };
    let format = schema["format"]
        .as_str()
        .map(|its| format!(" ({})", text(its)));
    types + &format.unwrap_or_default() + &item
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}

fn said(value: &Value) -> String {
    text(value.as_str().unwrap_or_default())
}

/// Text, as markup.
fn text(plain: &str) -> String {
    plain
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
