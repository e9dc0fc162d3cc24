//! The costs and delays of live connections: the memory of a process with so many of them, each of another user, and the delay
//! from a dispatch to its event, for dispatches of that process and of another one. On both databases.
//!
//! The connections are held by this process and served by one of their own, so that its memory is that of the server alone.
//!
//! `cargo run --release -p campanile-tests --bin campanile-live [CLIENTS]`

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use campanile::{Database, Dispatcher, NotifiableEvent as _, WakeUp};
use campanile_pigeon::PigeonSettings;
use campanile_tests::app::capture;
use campanile_tests::database::{Kind, TestDatabase, run};
use campanile_tests::events::PigeonExpected;
use campanile_tests::viewer::{CurrentUser, Session};
use campanile_web::Settings;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

const DISPATCHES: u32 = 2_000;
const DISPATCHES_PER_SECOND: u32 = 100;

/// How long each event took.
type Delays = Arc<Mutex<Vec<Duration>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, url, users] = &arguments[..]
        && word == "serve"
    {
        let users = users.parse().expect("a number of users");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
        runtime.block_on(serve(url, users));
        return;
    }
    let clients = arguments.first().map_or(200, |text| {
        text.parse().expect("usage: campanile-live [CLIENTS]")
    });
    for kind in [Kind::Sqlite, Kind::Postgres] {
        run(kind, async |database| measure(&database, clients).await);
    }
}

#[allow(clippy::print_stdout, reason = "the program prints figures")]
fn print(line: &str) {
    println!("{line}");
}

fn dispatcher(database: Database) -> Dispatcher {
    Dispatcher::builder()
        .database(database)
        .with(capture().0)
        .with(PigeonSettings::default())
        .wake_up(WakeUp::Notify)
        .build()
        .expect("the events and channels of the tests fit together")
}

/// Notifies users one after the other, with the time in the title.
async fn tell(dispatcher: &Dispatcher, users: u32, story: &str) {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / DISPATCHES_PER_SECOND);
    for number in 0..DISPATCHES {
        pace.tick().await;
        let event = PigeonExpected {
            title: since_1970().as_micros().to_string(),
            text: "coo".into(),
        };
        let notice = event
            .about(format!("{story} {number}"))
            .to([format!("u_{}", number % users)]);
        let _ = dispatcher.enqueue(notice).await.expect("it can be stored");
    }
}

fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970")
}

/// The measured process: prints its address, and notifies its users on request.
async fn serve(url: &str, users: u32) {
    let dispatcher = dispatcher(Database::connect(url).await.expect("it answers"));
    let routes =
        campanile_web::router::<Session, CurrentUser>(dispatcher.clone(), Settings::default());
    let tell_all = move |Path(story): Path<String>| async move {
        tell(&dispatcher, users, &story).await;
    };
    let app = Router::new()
        .nest("/notifications", routes)
        .route("/tell/{story}", get(tell_all))
        .with_state(Session::Header("x-session"));
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a loopback port is free");
    let address = listener.local_addr().expect("a listener has an address");
    print(&address.to_string());
    axum::serve(listener, app).await.expect("it serves");
}

/// A server in a process of its own.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    async fn start(url: &str, users: u32) -> Self {
        let program = std::env::current_exe().expect("a program knows itself");
        let mut process = Command::new(program)
            .args(["serve", url, &users.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it can be started again");
        let out = process.stdout.take().expect("it is piped");
        let address = BufReader::new(out).lines().next_line().await;
        let address = address.expect("it can be read").expect("it says where");
        Self { process, address }
    }

    /// Requests a path, and returns the answer.
    async fn ask(&self, user: &str, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).await.expect("it answers");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nx-session: {user}\r\nconnection: close\r\n\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        BufReader::new(stream)
    }

    /// Requests a path, and waits for the end of the answer.
    async fn finish(&self, path: &str) {
        let mut answer = String::new();
        let mut stream = self.ask("u_0", path).await;
        let read = stream.read_to_string(&mut answer).await;
        read.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Its memory, in kilobytes.
    fn memory(&self) -> u64 {
        let id = self.process.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status"));
        let status = status.expect("this is Linux");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        let resident = resident.and_then(|text| text.trim().parse().ok());
        resident.expect("it says how much")
    }
}

/// Connects, waits for the first event, and records the delay of every item.
async fn listen(server: &Server, user: &str, delays: &Delays) {
    let mut stream = server.ask(user, "/notifications/inbox/events").await;
    let mut line = String::new();
    while line != "event: counts\n" {
        line.clear();
        let length = stream.read_line(&mut line).await.expect("it answers");
        assert_ne!(length, 0, "the connection goes on");
    }
    let delays = Arc::clone(delays);
    tokio::spawn(async move {
        let mut lines = stream.lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let told = line.strip_prefix("data: ").and_then(|data| {
                serde_json::from_str::<serde_json::Value>(data).ok()?["title"]
                    .as_str()?
                    .parse()
                    .ok()
            });
            if let Some(told) = told {
                let delay = since_1970().saturating_sub(Duration::from_micros(told));
                let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
                delays.push(delay);
            }
        }
    });
}

async fn measure(database: &TestDatabase, clients: u32) {
    let server = Server::start(&database.url, clients).await;
    server.finish("/notifications/inbox").await;
    let before = server.memory();
    let delays = Delays::default();
    for client in 0..clients {
        listen(&server, &format!("u_{client}"), &delays).await;
    }
    let connected = server.memory();
    server.finish("/tell/here").await;
    let here = heard(&delays).await;
    let after = server.memory();
    print(&format!(
        "{:?}: {clients} connections: {before} kB before, {connected} kB connected ({} kB each), {after} kB after {DISPATCHES} dispatches",
        database.kind,
        connected.saturating_sub(before) / u64::from(clients),
    ));
    print(&format!(
        "{:?}: from a dispatch of the same process to its event: {here}",
        database.kind
    ));
    tell(&dispatcher(database.database.clone()), clients, "elsewhere").await;
    print(&format!(
        "{:?}: from a dispatch of another process, {}: {}",
        database.kind,
        match database.kind {
            Kind::Sqlite => "found by polling every two seconds",
            Kind::Postgres => "sent by NOTIFY",
        },
        heard(&delays).await
    ));
}

/// Waits until every dispatch was received, and returns the delays as text.
async fn heard(delays: &Delays) -> String {
    let noted = || delays.lock().unwrap_or_else(PoisonError::into_inner);
    while noted().len() < DISPATCHES as usize {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut all = std::mem::take(&mut *noted());
    all.sort_unstable();
    let at = |part: usize| all[(all.len() - 1) * part / 100];
    format!(
        "{:?} at the median, {:?} at the 99th percentile, {:?} at most",
        at(50),
        at(99),
        at(100)
    )
}
