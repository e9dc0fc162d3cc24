//! An HTTP server that misbehaves as no library would: it closes, keeps silent, or never stops.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens on one connection after its request was read.
pub(crate) enum Act {
    /// It is closed without an answer.
    Close,
    /// Status, a line of headers, body.
    Reply(u16, &'static str, String),
    /// A status and a body without end.
    Endless(u16),
}

#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Serves one act for each connection, in order, then refuses connections. The URL, and the requests so far.
pub(crate) async fn serve(script: Vec<Act>) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        for act in script {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            seen.0.lock().unwrap().push(request);
            // The client may hang up at any time.
            let _ = play(stream, act).await;
        }
    });
    (url, requests)
}

async fn play(mut stream: TcpStream, act: Act) -> std::io::Result<()> {
    match act {
        Act::Close => Ok(()),
        Act::Reply(status, headers, body) => {
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 {status} x\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(reply.as_bytes()).await
        }
        Act::Endless(status) => {
            let head = format!("HTTP/1.1 {status} x\r\ntransfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
    }
}

/// A request: the head, and as much of a body as it announces.
async fn read(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            return text;
        }
    }
}
