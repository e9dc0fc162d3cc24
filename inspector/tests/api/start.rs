//! How an inspector starts: on which database, twice on one, and on a real port.

use std::io;
use std::net::SocketAddr;

use campanile::Database;
use campanile_inspector::{Access, ForeignRows, Inspector, Reach, Settings, StartError, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

fn file(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}", folder.path().join("tour.sqlite").display())
}

#[tokio::test]
async fn a_second_start_keeps_the_data_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let database = Database::connect(&file(&folder)).await.unwrap();
        let inspector = Inspector::start(database, Settings::default())
            .await
            .unwrap();
        let book = inspector.dispatcher().addresses();
        let users = ["u_ada".to_owned()];
        for (channel, addresses) in [("email", 1), ("push", 2)] {
            let found = campanile::channel::AddressBook::addresses(&book, channel, &users)
                .await
                .unwrap();
            assert_eq!(found["u_ada"].len(), addresses);
        }
    }
}

#[tokio::test]
async fn a_database_of_another_app_is_refused_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(&file(&folder)).await.unwrap();
    database.migrate().await.unwrap();
    let book = campanile::operate::AddressTable::new(database.clone());
    book.add("customer_1", "email", "somebody@example.com")
        .await
        .unwrap();
    let refused = Inspector::start(database.clone(), Settings::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::ForeignRows), "{refused}");
    let accepted = Settings {
        foreign_rows: ForeignRows::Accepted,
        ..Settings::default()
    };
    Inspector::start(database, accepted).await.unwrap();
}

#[tokio::test]
async fn an_app_with_an_ada_of_its_own_is_another_app() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(&file(&folder)).await.unwrap();
    database.migrate().await.unwrap();
    let book = campanile::operate::AddressTable::new(database.clone());
    book.add("u_ada", "email", "ada@example.com").await.unwrap();
    let settings = Settings::default();
    let refused = Inspector::start(database.clone(), settings)
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::ForeignRows), "{refused}");
    // Nothing was added, so the next start is refused too.
    let again = Inspector::start(database, Settings::default()).await;
    assert!(again.is_err());
}

#[tokio::test]
async fn a_database_that_cannot_be_checked_is_refused_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(&file(&folder)).await.unwrap();
    // Another app's table, on which the guard's query fails.
    let campanile::database::Pool::Sqlite(pool) = database.pool() else {
        unreachable!("it is a file");
    };
    campanile::sqlx::query(
        "create table campanile_notification_addresses (id integer primary key)",
    )
    .execute(pool)
    .await
    .unwrap();
    let settings = Settings::default();
    let refused = Inspector::open(database.clone(), settings)
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::Unguarded(_)), "{refused}");
    assert!(refused.to_string().contains("--accept-foreign-rows"));
    let accepted = Settings {
        foreign_rows: ForeignRows::Accepted,
        ..Settings::default()
    };
    Inspector::open(database, accepted).await.unwrap();
}

/// An inspector on a port of its own, until a shutdown signal.
struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

async fn start() -> Serving {
    let database = Database::connect("sqlite::memory:").await.unwrap();
    let inspector = Inspector::start(database, Settings::default())
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let access = Access::open(Reach::Loopback);
    let ended = tokio::spawn(serve(listener, inspector, access, shutdown));
    Serving {
        address,
        stop,
        ended,
    }
}

#[tokio::test]
async fn an_open_live_connection_does_not_block_the_shutdown() {
    let Serving {
        address,
        stop,
        ended,
    } = start().await;

    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /as/u_ada/inbox/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("event: counts") {
        assert_ne!(connection.read_buf(&mut heard).await.unwrap(), 0);
    }
    stop.send(()).unwrap();
    connection.read_to_end(&mut heard).await.unwrap();
    // The last chunk says that the stream was ended, and not cut off.
    assert!(heard.ends_with(b"\r\n0\r\n\r\n"));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_answers_on_its_port_until_the_shutdown_signal() {
    let Serving {
        address,
        stop,
        ended,
    } = start().await;

    let mut connection = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /api/users HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("u_ada"),
        "{answer}"
    );

    // An open connection does not block the shutdown.
    let _idle = TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
