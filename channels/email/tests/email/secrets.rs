//! Canaries: no key, password, address or content in a log, an error, a `Debug` or the delivery log.

use std::io;
use std::sync::{Arc, Mutex};

use campanile::database::each_database;
use campanile::sqlx::{self, Row as _};
use campanile_email::{EmailSettings, Mailer, Resend, Smtp};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::app::{App, FROM};
use crate::smtp_server::SmtpServer;

const SECRET: &str = "canary-3f1c";
const ADDRESS: &str = "canary-ada@example.com";
const CONTENT: &str = "Ada & Co";

/// Everything that is logged, at every level, by every library.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What the delivery log holds.
async fn attempts(app: &App) -> String {
    let statement = "select error, provider_id from {campanile}notification_attempts";
    let mut lines: Vec<Option<String>> = Vec::new();
    each_database!(&app.database, |pool| {
        let rows = sqlx::query(app.database.sql(statement));
        for row in rows.fetch_all(pool).await.unwrap() {
            lines.extend([row.get("error"), row.get("provider_id")]);
        }
    });
    format!("{lines:?}")
}

/// Everything that is left behind by a dispatch whose mail fails.
async fn traces_of(mailer: impl Mailer + std::fmt::Debug) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut traces = vec![format!("{mailer:?}")];
    let settings = EmailSettings::new(FROM, mailer);
    traces.push(format!("{settings:?}"));
    let app = App::new(settings).await;
    app.address("ada", ADDRESS).await;
    let report = app.welcome(&["ada"]).await;
    assert_eq!(report.failed, 1, "{report:?}");
    traces.push(format!("{report:?}"));
    traces.push(serde_json::to_string(&report).unwrap());
    traces.push(attempts(&app).await);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a delivery failed"), "{log}");
    traces.push(log);
    traces.join("\n")
}

#[track_caller]
fn check(traces: &str) {
    for canary in [SECRET, ADDRESS, CONTENT] {
        let line = traces.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{canary}: {}", line.unwrap());
    }
}

#[tokio::test]
async fn a_resend_key_and_an_address_leave_no_trace() {
    let server = MockServer::start().await;
    let message = format!("The key {SECRET} may not send to {ADDRESS}");
    let body = json!({"name": "validation_error", "message": message});
    for status in [401, 422, 500] {
        server.reset().await;
        let answer = ResponseTemplate::new(status).set_body_json(&body);
        Mock::given(method("POST"))
            .respond_with(answer)
            .mount(&server)
            .await;
        let traces = traces_of(Resend::at(&server.uri(), SECRET).unwrap()).await;
        check(&traces);
        assert!(
            traces.contains("The key [secret] may not send to [address]"),
            "{traces}"
        );
    }
}

#[tokio::test]
async fn an_smtp_password_and_an_address_leave_no_trace() {
    let server = SmtpServer::start(&["--login", "ada:right"]);
    let url = format!("smtp://ada:{SECRET}@127.0.0.1:{}", server.port);
    check(&traces_of(Smtp::new(url).unwrap()).await);

    let app = SmtpServer::start(&[]);
    let url = format!("smtp://127.0.0.1:{}", app.port);
    // Nobody answers there any more.
    drop(app);
    check(&traces_of(Smtp::new(url).unwrap()).await);
}
