//! The round trips of the preferences, counted on the wire: they do not grow with the number of preferences.

use campanile_tests::database::run;
use campanile_tests::proxy::CountingProxy;
use campanile_tests::{App, Kind};
use campanile_web::Settings;
use sqlx::postgres::PgPoolOptions;

use crate::site::Site;

async fn version(site: &Site) -> String {
    let read = site.get("u_ada", "/preferences").await;
    read.etag().trim_matches('"').to_owned()
}

/// Turns a switch with the form, and counts the round trips.
async fn turn(site: &Site, proxy: &CountingProxy, cell: [&str; 2], status: u16) -> usize {
    let version = version(site).await;
    let [category, channel] = cell;
    let form = [
        ("category", category),
        ("channel", channel),
        ("enabled", "false"),
        ("version", &version),
    ];
    let _ = proxy.take();
    site.submit("u_ada", "/settings", &form)
        .await
        .expect(status);
    proxy.take()
}

#[test]
fn the_settings_page_is_one_round_trip_and_a_switch_one_transaction() {
    run(Kind::Postgres, async |database| {
        let proxy = CountingProxy::before(&database.url).await;
        // The pool does not ping a connection when it is taken.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect(&proxy.url)
            .await
            .unwrap();
        let mut app = App::without_addresses(database);
        app.dispatcher = app.builder().database(pool).build().unwrap();
        let site = Site::of(app, Settings::default().rate(10_000, 10_000));
        // The first statements of a connection are also prepared, once.
        turn(&site, &proxy, ["team", "email"], 303).await;

        let _ = proxy.take();
        site.get("u_ada", "/settings").await.expect(200);
        assert_eq!(proxy.take(), 1);
        for cell in [["team", "inbox"], ["loft", "push"], ["security", "inbox"]] {
            // BEGIN, lock, read, write, read, COMMIT.
            assert_eq!(turn(&site, &proxy, cell, 303).await, 6, "{cell:?}");
        }
        site.get("u_ada", "/settings").await.expect(200);
        assert_eq!(proxy.take(), 1, "also with every switch turned");
        // BEGIN, lock, read, ROLLBACK, and the read for the page.
        assert_eq!(turn(&site, &proxy, ["billing", "email"], 409).await, 5);
    });
}
