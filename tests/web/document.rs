//! The description of the API.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Method;
use campanile_tests::both_databases;
use serde_json::Value;

use crate::site::{Site, request};

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

both_databases! {
    async fn the_document_is_public_and_complete(site: Site) {
        let answer = site.send(request(Method::GET, "/openapi.json").body(Body::empty()).unwrap()).await;
        let document = answer.expect(200);
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(document["openapi"], "3.1.0");
        let mut found = BTreeSet::new();
        references(document, &mut found);
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(ids.insert(operation["operationId"].to_string()), "{method} {path} has the id of another");
                let mut statuses: BTreeSet<&str> = ["401", "429", "500", "503"].into();
                if operation.get("requestBody").is_some() {
                    statuses.extend(["400", "403", "413", "415", "422"]);
                }
                for status in statuses {
                    let told = &operation["responses"][status];
                    assert!(told.is_object(), "{method} {path} does not describe {status}");
                    let is_problem = told.pointer("/content/application~1problem+json").is_some();
                    assert_eq!(is_problem, status != "401", "{method} {path} {status}");
                }
            }
        }
    }
}
