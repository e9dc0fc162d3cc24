//! The inspector's JSON, as a script uses it, over a real port, in a process of its own, on both databases.

use std::net::SocketAddr;

use campanile_tests::tour::Tour;
use campanile_tests::{TestDatabase, both_databases};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn address_of(tour: &Tour) -> SocketAddr {
    let url = url::Url::parse(&tour.url).unwrap();
    let addresses = url.socket_addrs(|| None).unwrap();
    addresses[0]
}

/// The status and the JSON of one request.
async fn ask(address: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nIf-Match: *\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

async fn get(address: SocketAddr, path: &str) -> Value {
    let (status, body) = ask(address, "GET", path, &Value::Null).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// Fires a change of role, and returns `[sent, deduped, suppressedByPrefs, failed]`.
async fn fire(address: SocketAddr) -> [u64; 4] {
    let events = get(address, "/api/events").await;
    let event = events
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["eventType"] == "org.member.role_changed");
    let mut request = event.unwrap()["example"].clone();
    request["recipientUserIds"] = json!(["u_ada"]);
    let (status, report) = ask(address, "POST", "/api/dispatch", &request).await;
    assert_eq!(status, 200, "{report}");
    ["sent", "deduped", "suppressedByPrefs", "failed"].map(|key| report[key].as_u64().unwrap())
}

async fn release(address: SocketAddr) {
    let (status, answer) = ask(address, "POST", "/api/dedup/release", &Value::Null).await;
    assert!(status < 300, "{answer}");
    assert_eq!(get(address, "/api/dedup").await, json!([]));
}

async fn change(address: SocketAddr, method: &str, path: &str, body: Value) {
    let (status, answer) = ask(address, method, path, &body).await;
    assert!(status < 300, "{path}: {answer}");
}

async fn windows(address: SocketAddr) {
    assert_eq!(fire(address).await, [2, 0, 0, 0]);
    assert_eq!(fire(address).await, [0, 1, 0, 0]);
    let ledger = get(address, "/api/dedup").await;
    assert_eq!(ledger.as_array().unwrap().len(), 1);
    assert_eq!(ledger[0]["recipientUserId"], "u_ada");
    assert!(ledger[0]["firedAt"].as_str().unwrap().ends_with('Z'));
    release(address).await;
    let unknown = json!({ "type": "org.member.role_change", "recipientUserIds": ["u_ada"] });
    let (status, problem) = ask(address, "POST", "/api/dispatch", &unknown).await;
    assert_eq!((status, &problem["code"]), (404, &json!("REGISTRY_MISS")));
}

async fn preferences(address: SocketAddr) {
    let path = "/as/u_ada/preferences";
    let cell = |enabled| json!({ "category": "team", "channel": "email", "enabled": enabled });
    change(address, "PATCH", path, cell(false)).await;
    assert_eq!(fire(address).await, [1, 0, 1, 0]);
    change(address, "PATCH", path, cell(true)).await;
    release(address).await;
}

async fn outage(address: SocketAddr) {
    let count = async |path| get(address, path).await.as_array().unwrap().len();
    change(
        address,
        "POST",
        "/api/channels/email/fail",
        json!({ "failing": true }),
    )
    .await;
    assert_eq!(fire(address).await, [1, 0, 0, 1]);
    assert_eq!(
        (count("/api/deliveries").await, count("/api/mails").await),
        (1, 1)
    );
    let inbox = get(address, "/as/u_ada/inbox").await;
    let items = inbox["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &inbox["counts"]["unread"]),
        (3, &json!(3)),
        "the rows are kept"
    );
    let newest = format!("/as/u_ada/inbox/{}", items[0]["id"].as_str().unwrap());
    change(address, "PATCH", &newest, json!({ "read": true })).await;
    let counts = get(address, "/as/u_ada/inbox/counts").await;
    assert_eq!(counts["unread"], 2);
}

both_databases! {
    async fn a_script_uses_the_inspector(database: TestDatabase) {
        let program = env!("CARGO_BIN_EXE_campanile-tour");
        let tour = Tour::start(program, &[&database.url]).await;
        let address = address_of(&tour);
        windows(address).await;
        preferences(address).await;
        outage(address).await;
    }
}
