//! How live connections end: with the router, with the app, and at the latest after their lifetime.

use std::time::Duration;

use campanile_tests::{TestDatabase, both_databases};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::listener::events;
use crate::live::without_polling;
use crate::site::Site;

/// Ends when the sender does.
async fn dropped(mut sender: watch::Receiver<()>) {
    let _ = sender.changed().await;
}

both_databases! {
    async fn a_connection_ends_with_the_router(database: TestDatabase) {
        let site = Site::with(database, without_polling()).await;
        let mut ada = site.listen("u_ada").await;
        drop(site);
        assert_eq!(ada.next().await, None);
    }

    async fn a_connection_ends_after_its_lifetime(database: TestDatabase) {
        let settings = without_polling().live_lifetime(Duration::from_millis(100));
        let site = Site::with(database, settings).await;
        let mut ada = site.listen("u_ada").await;
        assert_eq!(ada.next().await, None);
        let mut again = site.listen("u_ada").await;
        assert_eq!(again.next().await, None);
    }

    async fn connections_end_and_none_begins_when_the_app_shuts_down(database: TestDatabase) {
        let (stop, stopping) = watch::channel(());
        let site = Site::with(database, without_polling().shutdown(dropped(stopping))).await;
        let [mut ada, mut bob] = [site.listen("u_ada").await, site.listen("u_bob").await];
        drop(stop);
        assert_eq!([ada.next().await, bob.next().await], [None, None]);
        site.send(events("u_ada", "")).await.expect_problem(503, "unavailable");
        site.get("u_ada", "/inbox").await.expect(200);
    }

    async fn a_graceful_shutdown_does_not_wait_for_open_connections(database: TestDatabase) {
        let (stop, stopping) = watch::channel(());
        let site = Site::with(database, without_polling().shutdown(dropped(stopping.clone()))).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let router = site.router.clone();
        let served = tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(dropped(stopping)).await
        });
        let asked = "GET /x/notifications/inbox/events HTTP/1.1\r\nhost: x\r\nx-session: u_ada\r\n\r\n";
        client.write_all(asked.as_bytes()).await.unwrap();
        let mut text = String::new();
        while !text.contains("event: counts") {
            let mut piece = [0; 1024];
            let length = client.read(&mut piece).await.unwrap();
            text += std::str::from_utf8(&piece[..length]).unwrap();
        }
        drop(stop);
        let ended = tokio::time::timeout(Duration::from_secs(10), served).await;
        ended.expect("nothing blocks the shutdown").unwrap().unwrap();
        client.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
    }
}
