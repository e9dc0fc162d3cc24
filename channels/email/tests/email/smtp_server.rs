//! A real SMTP server in a process of its own: `tests/smtp/server.py` of the workspace.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const HOW_TO_GET_IT: &str =
    "the tests of the SMTP mailer need Python with aiosmtpd: apt-get install -y python3-aiosmtpd";

/// Dies with the test: it is killed on drop, and ends by itself when its standard input closes.
pub(crate) struct SmtpServer {
    process: Child,
    folder: TempDir,
    pub(crate) port: u16,
}

impl SmtpServer {
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/smtp/server.py");
        let mut process = Command::new("/usr/bin/python3")
            .args(["-W", "ignore"])
            .arg(script)
            .arg(folder.path())
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect(HOW_TO_GET_IT);
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().expect(HOW_TO_GET_IT);
        Self {
            process,
            folder,
            port,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The messages it took, in order.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
        files.sort();
        let read = |file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        files.into_iter().map(read).map(Message).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A message as the server took it.
pub(crate) struct Message(Value);

impl Message {
    pub(crate) fn from(&self) -> &str {
        self.0["from"].as_str().unwrap()
    }

    pub(crate) fn to(&self) -> Vec<&str> {
        let to = self.0["to"].as_array().unwrap();
        to.iter().map(|address| address.as_str().unwrap()).collect()
    }

    /// The client's port: one for each connection.
    pub(crate) fn connection(&self) -> u64 {
        self.0["port"].as_u64().unwrap()
    }

    pub(crate) fn data(&self) -> &str {
        self.0["data"].as_str().unwrap()
    }

    /// The value of a header, unfolded.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.data().split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        let mut lines = head.split("\r\n");
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(ToOwned::to_owned)
    }

    /// The parts of a multipart body: head and content of each, still encoded.
    pub(crate) fn parts(&self) -> Vec<(String, String)> {
        let content_type = self.header("Content-Type").unwrap();
        let (_, boundary) = content_type.split_once("boundary=\"").unwrap();
        let (boundary, _) = boundary.split_once('"').unwrap();
        let (body, end) = self.data().split_once(&format!("--{boundary}--")).unwrap();
        assert_eq!(end.trim(), "");
        let delimiter = format!("--{boundary}\r\n");
        let parts = body.split(&delimiter).skip(1);
        let split = |part: &str| {
            let (head, content) = part.split_once("\r\n\r\n").unwrap();
            (head.to_owned(), content.to_owned())
        };
        parts.map(split).collect()
    }
}
