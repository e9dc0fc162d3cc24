//! schemathesis reads the API's description and sends valid and invalid requests: the answers must match the description.
//!
//! Needs schemathesis, from `PyPI`: `test.sh` fetches it.

use std::path::{Path, PathBuf};

use axum::Router;
use campanile::NotifiableEvent as _;
use campanile_tests::events::PigeonExpected;
use campanile_tests::viewer::{CurrentUser, Session};
use campanile_tests::{App, both_databases};
use campanile_web::Settings;
use tokio::net::TcpListener;
use tokio::process::Command;

/// The version with which the API passes.
const VERSION: &str = "4.32.5";

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web/schema/schemathesis.toml");

/// Serves the routes below `/notifications`, and returns their address.
async fn serve(app: &App) -> String {
    // It sends more requests than a person does.
    let settings = Settings::default().rate(100_000, 100_000);
    let routes = campanile_web::router::<Session, CurrentUser>(app.dispatcher.clone(), settings);
    let site: Router = Router::new()
        .nest("/notifications", routes)
        .with_state(Session::Header("x-session"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/notifications", listener.local_addr().unwrap());
    // It ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, site).await });
    address
}

fn schemathesis() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = target.join("schemathesis");
    let program = folder.join("bin/schemathesis");
    assert!(
        program.is_file(),
        "no schemathesis here: python3 -m venv {0} && {0}/bin/pip install schemathesis=={VERSION}",
        folder.display()
    );
    program
}

/// How many operations the description has.
fn operations() -> usize {
    let items = campanile_web::openapi().paths.paths.into_values();
    items
        .flat_map(|it| [it.get, it.put, it.post, it.delete, it.patch])
        .flatten()
        .count()
}

both_databases! {
    async fn schemathesis_finds_nothing(app: App) {
        for number in 0..30 {
            let event = PigeonExpected { title: number.to_string(), text: "-".into() };
            let notice = event.about(number.to_string()).in_org("org_1").to(["u_ada"]);
            let _ = app.dispatcher.enqueue(notice).await.unwrap();
        }
        let address = serve(&app).await;
        // It writes its findings into the current folder.
        let folder = tempfile::tempdir().unwrap();
        let said = Command::new(schemathesis())
            .current_dir(folder.path())
            .args(["--config-file", CONFIG, "run", &format!("{address}/openapi.json"), "--url", &address])
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
        let all = operations();
        for line in [format!("Selected: {all}/{all}"), format!("Tested: {all}")] {
            assert!(text.lines().any(|it| it.trim() == line), "not {line}: {text}");
        }
    }
}
