//! A Postgres server to test on: the one of `DATABASE_URL`, or a private one that lives as long as this process; and servers for
//! one test, which may crash them and set their clocks.
//!
//! `CAMPANILE_POSTGRES_PROGRAMS` names the folder of `initdb`, `pg_ctl` and `postgres` of another version, whose libraries
//! are in `../lib`. It takes precedence over `DATABASE_URL`: `test.sh` runs the promises on the oldest and the newest version.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The URL of a database on the server, in which other databases may be created.
///
/// # Panics
///
/// When there is no server and none can be started; the message says how to get one.
pub fn url() -> &'static str {
    static SERVER: OnceLock<Server> = OnceLock::new();
    &SERVER
        .get_or_init(|| match std::env::var("DATABASE_URL") {
            Ok(url) if url.starts_with("postgres") && chosen_programs().is_none() => {
                Server { url, _keeper: None }
            }
            _ => Cluster::start(THROW_AWAY, &[]).1,
        })
        .url
}

struct Server {
    url: String,
    /// Stops the private server when this process ends, however it ends: its standard input closes then.
    _keeper: Option<Child>,
}

/// Fast, but data is lost in a crash.
const THROW_AWAY: &str =
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=400";

/// The durability of a host's server: commits survive a crash.
const DURABLE: &str =
    "-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c max_connections=400";

/// A server for one test, as durable as a host's. It stops when this is dropped, or with the process.
pub struct OwnServer {
    /// The URL of a database on the server, in which other databases may be created.
    pub url: String,
    cluster: Cluster,
    _server: Server,
}

impl OwnServer {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When there is no PostgreSQL on this machine; the message says how to get one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with variables of its environment.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(environment: &[(&str, OsString)]) -> Self {
        let (cluster, server) = Cluster::start(DURABLE, environment);
        Self {
            url: server.url.clone(),
            cluster,
            _server: server,
        }
    }

    /// Starts one with the settings that `initdb` writes, but for these: `fsync=on` for example.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn with_default_settings_but(settings: &[&str]) -> Self {
        let settings: Vec<_> = settings.iter().map(|set| format!("-c {set}")).collect();
        let (cluster, server) = Cluster::start(&settings.join(" "), &[]);
        Self {
            url: server.url.clone(),
            cluster,
            _server: server,
        }
    }

    /// The id of the server's first process, whose children are the others. `None` if it is not running.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        let file = self.cluster.data().join("postmaster.pid");
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Crashes the server, as a power failure would, and restarts it. It answers when this returns.
    ///
    /// # Panics
    ///
    /// When it does not restart.
    pub fn crash_and_restart(&self) {
        let status = self
            .cluster
            .command("pg_ctl")
            .args(["restart", "--mode=immediate", "--wait", "--silent"])
            .arg("--log")
            .arg(self.cluster.folder.join("log"))
            .arg("--pgdata")
            .arg(self.cluster.data())
            .stdout(Stdio::null())
            .status()
            .expect("pg_ctl was found before");
        assert!(status.success(), "the server did not restart");
    }
}

impl std::fmt::Debug for OwnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnServer")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A private server in a temporary folder.
struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    /// The user of the server if this process runs as root, because Postgres refuses to run as root.
    user: Option<(u32, u32)>,
    environment: Vec<(String, OsString)>,
}

impl Cluster {
    fn start(settings: &str, environment: &[(&str, OsString)]) -> (Self, Server) {
        let folder = tempfile::Builder::new()
            .prefix("campanile-postgres-")
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        let cluster = Self {
            programs: programs(),
            user: unprivileged_user(),
            folder,
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        };
        if let Some((user, group)) = cluster.user {
            std::os::unix::fs::chown(&cluster.folder, Some(user), Some(group))
                .expect("root may give away a folder");
        }
        let data = cluster.data();
        // A language's collation, if the server has one: its order is not the order of bytes, as on a host's server.
        let language = ["--locale-provider=icu", "--icu-locale=en-US"];
        if cluster.init(&data, &language).is_err() {
            let _ = std::fs::remove_dir_all(&data);
            if let Err(error) = cluster.init(&data, &[]) {
                panic!("initdb failed in {}:\n{error}", data.display());
            }
        }
        // Another process may take a free port before the server does.
        let port = (0..5)
            .find_map(|_| cluster.serve(&data, settings))
            .unwrap_or_else(|| {
                let log = std::fs::read_to_string(cluster.folder.join("log")).unwrap_or_default();
                panic!("the private PostgreSQL did not start:\n{log}")
            });
        let server = Server {
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            _keeper: Some(cluster.keeper(&data)),
        };
        (cluster, server)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn init(&self, data: &Path, language: &[&str]) -> Result<(), String> {
        let output = self
            .command("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync"])
            .args(language)
            .arg("--pgdata")
            .arg(data)
            .output()
            .map_err(|error| self.cannot_run("initdb", &error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The server's user may not have access to the programs, in root's home folder for example.
    fn cannot_run(&self, program: &str, error: &std::io::Error) -> String {
        let user = self.user.map_or_else(
            || "this user".to_owned(),
            |(user, _)| format!("user {user}"),
        );
        let program = self.programs.join(program);
        format!("{user} cannot run {}: {error}", program.display())
    }

    fn serve(&self, data: &Path, settings: &str) -> Option<u16> {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("a loopback port is free")
            .port();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
             {settings}"
        );
        let status = self
            .command("pg_ctl")
            .args(["start", "--wait", "--silent", "--options", &options])
            .arg("--log")
            .arg(self.folder.join("log"))
            .arg("--pgdata")
            .arg(data)
            .stdout(Stdio::null())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .status()
            .expect("pg_ctl was found before");
        status.success().then_some(port)
    }

    fn keeper(&self, data: &Path) -> Child {
        let mut keeper = Command::new("sh");
        keeper
            .args([
                "-c",
                r#"trap "" INT TERM HUP; read -r _; "$1" stop --mode=immediate --silent --pgdata "$2"; rm -rf "$3""#,
                "keeper",
            ])
            .arg(self.programs.join("pg_ctl"))
            .arg(data)
            .arg(&self.folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.lower(&mut keeper);
        keeper.spawn().expect("a shell can be started")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/").stdin(Stdio::null());
        self.lower(&mut command);
        command
    }

    fn lower(&self, command: &mut Command) {
        if chosen_programs().is_some() {
            command.env("LD_LIBRARY_PATH", self.programs.join("../lib"));
        }
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
    }
}

/// The folder that `CAMPANILE_POSTGRES_PROGRAMS` names.
///
/// # Panics
///
/// When the folder does not contain the programs of a server.
#[must_use]
pub fn chosen_programs() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("CAMPANILE_POSTGRES_PROGRAMS")?);
    assert!(
        folder.join("initdb").exists() && folder.join("pg_ctl").exists(),
        "CAMPANILE_POSTGRES_PROGRAMS does not name a folder with initdb and pg_ctl: {}",
        folder.display()
    );
    Some(folder)
}

/// The folder of `initdb` and `pg_ctl`: the one of the environment, of the path, or of Debian.
fn programs() -> PathBuf {
    if let Some(folder) = chosen_programs() {
        return folder;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut debian: Vec<_> = debian
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    debian.sort();
    std::env::split_paths(&path)
        .chain(debian.into_iter().rev())
        .find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
        .expect(
            "no PostgreSQL to test on: `sudo apt-get install postgresql`, or set DATABASE_URL=postgres://.. \
             to a server on which databases may be created; `./test.sh` installs all that is needed",
        )
}

/// Whether the server's installation has this module for `shared_preload_libraries`.
///
/// # Panics
///
/// When there is no PostgreSQL on this machine; the message says how to get one.
#[must_use]
pub fn has_module(name: &str) -> bool {
    // A link on the path leads to where the libraries are.
    let program = programs().join("initdb");
    let program = std::fs::canonicalize(&program).unwrap_or(program);
    let file = format!("{name}.so");
    let installation = program.ancestors().nth(2).unwrap_or(&program);
    let mut folders = ["lib", "lib/postgresql"]
        .iter()
        .map(|lib| installation.join(lib));
    folders.any(|folder| folder.join(&file).exists())
}

/// `postgres`, else `nobody`, if this process runs as root.
///
/// # Panics
///
/// When the system has no list of users.
#[must_use]
pub fn unprivileged_user() -> Option<(u32, u32)> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    if !is_root {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("a system has users");
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
