//! A `PgBouncer` for one test, in front of its Postgres server.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::unprivileged_user;

/// How long a client keeps its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "made by tests")]
pub enum Keeps {
    /// For as long as it is connected.
    Session,
    /// For a transaction: the next one may run on another backend, without the client's prepared statements.
    Transaction,
}

/// A `PgBouncer`. It ends when this is dropped.
#[derive(Debug)]
pub struct Bouncer {
    /// The URL for clients, instead of the server's.
    pub url: String,
    process: Child,
    _folder: TempDir,
}

impl Bouncer {
    /// Starts one, with two backends for each database, before the server of this URL, `postgres://user@host:port/name`,
    /// which trusts its users.
    ///
    /// # Panics
    ///
    /// When there is no `PgBouncer` on this machine; the message says how to get one.
    #[must_use]
    pub fn before(url: &str, keeps: Keeps) -> Self {
        let rest = url.strip_prefix("postgres://").expect("a URL of Postgres");
        let (user, rest) = rest.split_once('@').expect("the URL names a user");
        let (server, name) = rest.split_once('/').expect("the URL names a database");
        let (host, server_port) = server.split_once(':').expect("the URL names a port");
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("a loopback port is free")
            .port();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let users = folder.path().join("users");
        let mode = match keeps {
            Keeps::Session => "session",
            Keeps::Transaction => "transaction",
        };
        let backends = match keeps {
            Keeps::Session => 20,
            Keeps::Transaction => 2,
        };
        let configuration = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {backends}\n\
             server_round_robin = 1\nmax_client_conn = 200\nignore_startup_parameters = extra_float_digits\n",
            users.display()
        );
        let path = folder.path().join("pgbouncer.ini");
        std::fs::write(&users, format!("\"{user}\" \"\"\n")).expect("a folder can be written");
        std::fs::write(&path, configuration).expect("a folder can be written");
        let mut command = Command::new(program());
        command
            .arg("--quiet")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some((user, group)) = unprivileged_user() {
            for path in [folder.path(), &users, &path] {
                std::os::unix::fs::chown(path, Some(user), Some(group))
                    .expect("root may give away a folder");
            }
            command.uid(user).gid(group);
        }
        let process = command.spawn().expect("PgBouncer was found before");
        let bouncer = Self {
            url: format!("postgres://{user}@127.0.0.1:{port}/{name}"),
            process,
            _folder: folder,
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "PgBouncer did not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        bouncer
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.exists())
        .expect("no PgBouncer: `sudo apt-get install pgbouncer`; `./test.sh` installs all that is needed")
}
