//! The HTTP side of the provider.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::behaviour::{Ask, Behaviour};
use super::ledger::{Answered, Entry, Mail};
use super::{Keys, State, lock};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An error that closes the connection.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script cuts this connection")
    }
}

impl std::error::Error for Cut {}

pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(client), service));
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let mut releases = state.releases.subscribe();
    let key = request.headers().get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    let key = key.to_owned();
    // A request of a client that disconnects in the middle does not count.
    let body = request.into_body().collect().await.map_err(|_| Cut)?;
    let body = body.to_bytes();
    let mails = mails(&body);
    let (behaviour, answered) = enter(&state, key.clone(), &body, mails.clone());
    if let Answered::Refused(status @ 409) = answered {
        return Ok(refusal(status, "invalid_idempotent_request", None));
    }
    match behaviour {
        Behaviour::Accept => Ok(acceptance(&key, mails.len())),
        Behaviour::AcceptAfter(time) => {
            tokio::time::sleep(time).await;
            Ok(acceptance(&key, mails.len()))
        }
        Behaviour::AcceptThenCut => Err(Cut),
        Behaviour::AcceptThenHold => {
            let _ = releases.changed().await;
            Ok(acceptance(&key, mails.len()))
        }
        Behaviour::Refuse {
            status,
            retry_after,
        } => Ok(refusal(status, "", retry_after)),
        Behaviour::HoldThenRefuse(status) => {
            let _ = releases.changed().await;
            Ok(refusal(status, "", None))
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Drip => Ok(unending(b" ", Duration::from_millis(100))),
        Behaviour::Endless => Ok(unending(&[b' '; 16 * 1024], Duration::ZERO)),
    }
}

/// Calls the script and writes the ledger in one step, so that of two requests under one key exactly one is the first.
fn enter(state: &State, key: String, body: &[u8], mails: Vec<Mail>) -> (Behaviour, Answered) {
    let body = Sha256::digest(body).into();
    let mut ledger = lock(&state.ledger);
    let behaviour = (lock(&state.script))(&Ask {
        number: ledger.entries.len(),
        key: key.clone(),
        mails: mails.len(),
    });
    let known = ledger.known(&key).filter(|_| state.keys == Keys::Honoured);
    let answered = match (behaviour, known) {
        (Behaviour::Refuse { status, .. } | Behaviour::HoldThenRefuse(status), _) => {
            Answered::Refused(status)
        }
        (_, Some(known)) if behaviour.takes() && known.body == body => Answered::Repeated,
        (_, Some(_)) if behaviour.takes() => Answered::Refused(409),
        (Behaviour::Accept | Behaviour::AcceptAfter(_), _) => Answered::Accepted,
        (Behaviour::Hang, _) => Answered::Nothing,
        _ => Answered::AcceptedUnheard,
    };
    ledger.entries.push(Entry {
        key,
        body,
        at: Instant::now(),
        mails,
        answered,
    });
    state.entries.send_replace(ledger.entries.len());
    (behaviour, answered)
}

/// One mail is an object, a batch is an array of them.
fn mails(body: &[u8]) -> Vec<Mail> {
    let mail = |value: &Value| Mail {
        to: value["to"][0].as_str().unwrap_or_default().to_owned(),
        subject: value["subject"].as_str().unwrap_or_default().to_owned(),
    };
    match serde_json::from_slice(body) {
        Ok(Value::Array(batch)) => batch.iter().map(mail).collect(),
        Ok(one) => vec![mail(&one)],
        Err(_) => Vec::new(),
    }
}

/// The same key gets the same answer.
fn acceptance(key: &str, mails: usize) -> Response<Body> {
    let id = |index: usize| json!({ "id": format!("{key}_{index}") });
    let body = match mails {
        1 => id(0),
        mails => json!({ "data": (0..mails).map(id).collect::<Vec<_>>() }),
    };
    Response::new(whole(&body))
}

fn refusal(status: u16, name: &str, retry_after: Option<u64>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    let problem = json!({ "name": name, "message": "as the script says" });
    response
        .body(whole(&problem))
        .expect("a status and a number stand in a response")
}

fn whole(body: &Value) -> Body {
    Full::new(Bytes::from(body.to_string())).boxed_unsync()
}

fn unending(piece: &'static [u8], pause: Duration) -> Response<Body> {
    let pieces = stream::repeat(()).then(move |()| async move {
        tokio::time::sleep(pause).await;
        Ok(Frame::data(Bytes::from_static(piece)))
    });
    Response::new(StreamBody::new(pieces).boxed_unsync())
}
