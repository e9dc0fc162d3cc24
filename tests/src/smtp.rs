//! A **scripted SMTP server**: it gives each command the reply that a test wants, and keeps the accepted messages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use campanile_email::{EmailSettings, Smtp};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The server's replies. Several lines are separated by CR LF.
#[derive(Debug, Clone)]
pub struct Script {
    /// On connecting.
    pub greeting: String,
    /// To `MAIL FROM`.
    pub sender: String,
    /// To `RCPT TO`.
    pub recipient: String,
    /// To the final dot.
    pub message: String,
    /// The delay before the reply to the final dot. The message is accepted before.
    pub thinks: Duration,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: "220 ready".into(),
            sender: "250 2.1.0 ok".into(),
            recipient: "250 2.1.5 ok".into(),
            message: "250 2.0.0 queued".into(),
            thinks: Duration::ZERO,
        }
    }
}

/// A message that the server accepted.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The recipient's address.
    pub to: String,
    /// Its `Message-ID`.
    pub message_id: String,
}

/// The server; clones share it. It ends with its runtime.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    port: u16,
    script: Arc<Mutex<Script>>,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl SmtpServer {
    /// Listens on a free port of this machine, and accepts every mail.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Self {
            port: listener.local_addr().expect("it is bound").port(),
            script: Arc::default(),
            taken: Arc::default(),
        };
        let listening = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = listening.clone();
                // The client may hang up at any time.
                tokio::spawn(async move { server.talk(stream).await.ok() });
            }
        });
        server
    }

    /// Settings of the email channel that send here.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn settings(&self) -> EmailSettings {
        let url = format!("smtp://127.0.0.1:{}", self.port);
        let smtp = Smtp::new(url).expect("the URL is of this machine");
        EmailSettings::new("Tower <bells@example.com>", smtp)
    }

    /// Replies like this from now on.
    pub fn says(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// The accepted messages, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.clone()
    }

    fn script(&self) -> Script {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.clone()
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let greeting = format!("{}\r\n", self.script().greeting);
        writer.write_all(greeting.as_bytes()).await?;
        let mut to = String::new();
        while let Some(line) = lines.next_line().await? {
            let script = self.script();
            let reply = match line.get(..4).map(str::to_ascii_uppercase).as_deref() {
                Some("EHLO") => "250-here\r\n250 8BITMIME".to_owned(),
                Some("MAIL") => script.sender,
                Some("RCPT") => {
                    line["RCPT TO:".len()..]
                        .trim_matches(['<', '>', ' '])
                        .clone_into(&mut to);
                    script.recipient
                }
                Some("DATA") => {
                    writer.write_all(b"354 go on\r\n").await?;
                    let mut message_id = String::new();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        if line.to_ascii_lowercase().starts_with("message-id:") {
                            message_id = line;
                        }
                    }
                    if script.message.starts_with('2') {
                        let taken = Taken {
                            to: to.clone(),
                            message_id,
                        };
                        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                        all.push(taken);
                    }
                    tokio::time::sleep(script.thinks).await;
                    script.message
                }
                Some("QUIT") => return writer.write_all(b"221 bye\r\n").await,
                _ => "250 ok".to_owned(),
            };
            writer.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
        Ok(())
    }
}
