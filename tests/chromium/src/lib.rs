//! A headless Chromium behind its driver, each with a profile of its own, both gone when the test ends.
//!
//! A crate of its own, so that what changes among the tests does not build it again.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::actions::{
    InputSource as _, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
};
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What Chromium is started with: no screen, no sandbox (tests run as root in containers), no talk of its own.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// How often a driver is started that does not say its port.
const MAX_DRIVERS: usize = 5;

/// How long a condition may take to come true.
const START_TIMEOUT: Duration = Duration::from_secs(40);

/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(40);

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    /// What drives it.
    pub client: Client,
    port: u16,
    session: String,
    /// Killed when it is dropped.
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When there is no Chromium, or no driver.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more flags.
    ///
    /// # Panics
    ///
    /// When there is no Chromium, or no driver.
    pub async fn start_with(more: &[&str]) -> Self {
        let chromium = program("chromium");
        let (driver, port) = driver().await;
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = format!("--user-data-dir={}", profile.path().display());
        let mut flags = FLAGS.to_vec();
        flags.extend([folder.as_str(), "--window-size=1300,1000"]);
        flags.extend(more);
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("it is one").clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("the browser starts");
        let session = client
            .session_id()
            .await
            .expect("the driver answers")
            .expect("a session has begun");
        Self {
            client,
            port,
            session,
            _driver: driver,
            _profile: profile,
        }
    }

    /// Evaluates an expression in the page.
    ///
    /// # Panics
    ///
    /// When it throws.
    pub async fn eval(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        let value = self.client.execute(&script, Vec::new()).await;
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression has this value.
    ///
    /// # Panics
    ///
    /// When it does not get it.
    pub async fn expect(&self, expression: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        let begin = Instant::now();
        loop {
            let value = self.eval(expression).await;
            if value == expected {
                return;
            }
            assert!(
                begin.elapsed() < START_TIMEOUT,
                "{expression} is {value}, not {expected}"
            );
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Presses keys one after the other, where the focus is; all of them are down before the first goes up again.
    ///
    /// # Panics
    ///
    /// When the browser refuses.
    pub async fn press(&self, keys: &[Key]) {
        let value = |key: &Key| char::from(*key);
        let mut actions = KeyActions::new("keyboard".into());
        for key in keys {
            actions = actions.then(KeyAction::Down { value: value(key) });
        }
        for key in keys.iter().rev() {
            actions = actions.then(KeyAction::Up { value: value(key) });
        }
        let done = self.client.perform_actions(actions).await;
        done.expect("the browser does it");
    }

    /// Clicks at this point of the viewport.
    ///
    /// # Panics
    ///
    /// When the browser refuses.
    pub async fn click_at(&self, x: f64, y: f64) {
        self.click_with(MOUSE_BUTTON_LEFT, &[], x, y).await;
    }

    /// Clicks at this point with a button of the mouse, while these keys are held down.
    ///
    /// # Panics
    ///
    /// When the browser refuses.
    pub async fn click_with(&self, button: u64, keys: &[Key], x: f64, y: f64) {
        let move_to = PointerAction::MoveTo {
            duration: None,
            x,
            y,
        };
        let actions = MouseActions::new("mouse".into())
            .then(move_to)
            .then(PointerAction::Down { button })
            .then(PointerAction::Up { button });
        let mut down = KeyActions::new("keyboard".into());
        for key in keys {
            let value = char::from(*key);
            down = down.then(KeyAction::Down { value });
        }
        let done = self.client.perform_actions(down).await;
        done.expect("the browser does it");
        let done = self.client.perform_actions(actions).await;
        done.expect("the browser does it");
        let done = self.client.release_actions().await;
        done.expect("the browser does it");
    }

    /// A screen of this size, however small: a window has a least width.
    pub async fn resize(&self, width: u32, height: u32) {
        self.resize_scaled(width, height, 1).await;
    }

    /// The same, with so many dots for each pixel of a style: a window that is zoomed into.
    pub async fn resize_scaled(&self, width: u32, height: u32, scale: u32) {
        let parameters = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", parameters)
            .await;
    }

    /// What the reader prefers: `prefers-color-scheme`, `forced-colors`.
    pub async fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<_> = features
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
    }

    /// A command of the `DevTools` protocol.
    ///
    /// # Panics
    ///
    /// When the browser refuses it.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let command = Post {
            path: "goog/cdp/execute",
            body: json!({ "cmd": command, "params": parameters }),
        };
        let answer = self.client.issue_cmd(command).await;
        answer.expect("the browser knows the command")
    }

    /// What the console holds of warnings and errors.
    ///
    /// # Panics
    ///
    /// When the browser does not say.
    pub async fn complaints(&self) -> Vec<String> {
        let command = Post {
            path: "se/log",
            body: json!({ "type": "browser" }),
        };
        let log = self
            .client
            .issue_cmd(command)
            .await
            .expect("there is a log");
        let lines = log.as_array().expect("it has lines").iter();
        lines
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .map(|line| line["message"].to_string())
            .collect()
    }
}

/// The driver ends Chromium with its session; killed, it would leave it behind. Also where the test panicked.
impl Drop for Browser {
    fn drop(&mut self) {
        let Ok(mut driver) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return;
        };
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.session, self.port
        );
        let _ = driver.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = driver.write_all(request.as_bytes());
        let _ = driver.read(&mut [0; 64]);
    }
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no `{name}` here: apt-get install -y chromium chromium-driver"))
}

/// A driver, and the port that it chose. It takes a port that is free for one version of the protocol, and gives up when
/// somebody has it for the other.
async fn driver() -> (Child, u16) {
    for _ in 0..MAX_DRIVERS {
        let mut driver = Command::new(program("chromedriver"))
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the driver starts");
        if let Some(port) = port(&mut driver).await {
            return (driver, port);
        }
    }
    panic!("chromedriver ended {MAX_DRIVERS} times without saying its port");
}

/// The port that it says on its output, unless it ends.
async fn port(driver: &mut Child) -> Option<u16> {
    let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
    while let Some(line) = lines.next_line().await.expect("it is text") {
        let port = line
            .rsplit_once("on port ")
            .map(|(_, port)| port.trim_end_matches('.'));
        if let Some(port) = port.filter(|_| line.contains("started successfully")) {
            return Some(port.parse().expect("a port is a number"));
        }
    }
    None
}

/// A command of Chromium's own, beyond the standard ones.
#[derive(Debug)]
struct Post {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
