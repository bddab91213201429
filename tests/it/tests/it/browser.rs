//! A browser that is driven as a person would use it: Debian's Chromium, by the
//! WebDriver protocol, which is JSON over HTTP. Of its few commands that are needed
//! here none is worth a library.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::free_port;
use crate::wait::{GUARD, until};

/// Chromium as root, in no window, that asks nobody for anything by itself: names
/// lead nowhere, but for this machine.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

/// What names an element in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page; dropped, it is killed.
pub(crate) struct Browser {
    driver: Child,
    http: reqwest::Client,
    /// Where its commands go.
    session: String,
    /// Goes with it.
    profile: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let port = free_port();
        let driver = Command::new("/usr/bin/chromedriver")
            .arg(format!("--port={port}"))
            // The browser is in its group, and does not end with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("no chromedriver; Debian has it in the package chromium-driver: {error}")
            });
        let http = reqwest::Client::builder().no_proxy().timeout(GUARD).build().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, http, session: base.clone(), profile };
        until("the driver of the browser is ready", || async {
            let status = browser.http.get(format!("{base}/status")).send().await.ok()?;
            let status: Value = serde_json::from_str(&status.text().await.ok()?).ok()?;
            (status["value"]["ready"] == true).then_some(())
        })
        .await;
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", browser.profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = browser.command(Method::POST, "/session", &wanted).await;
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("{base}/session/{id}");
        // Its own first page asks for parts of itself.
        browser.open("about:blank").await;
        browser.requested().await;
        browser
    }

    /// Sends a command; gives its value.
    async fn command(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method.clone(), format!("{}{path}", self.session));
        let request = if method == Method::POST {
            request.header("content-type", "application/json").body(body.to_string())
        } else {
            request
        };
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["value"].take()
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.command(Method::POST, "/url", &json!({"url": url})).await;
    }

    async fn element(&self, selector: &str) -> String {
        let by = json!({"using": "css selector", "value": selector});
        let found = self.command(Method::POST, "/element", &by).await;
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{found}")).to_owned()
    }

    /// Types a text into the element that a selector of CSS names.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        let path = format!("/element/{element}/value");
        self.command(Method::POST, &path, &json!({"text": text})).await;
    }

    /// Clicks at the element that a selector of CSS names.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.command(Method::POST, &format!("/element/{element}/click"), &json!({})).await;
    }

    /// What a function's body in JavaScript returns.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.command(Method::POST, "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// New entries of one of the browser's logs.
    async fn log(&self, kind: &str) -> Vec<Value> {
        let found = self.command(Method::POST, "/se/log", &json!({"type": kind})).await;
        found.as_array().unwrap().clone()
    }

    /// What pages have written to the console since the last time, and the browser about
    /// them.
    pub(crate) async fn console(&self) -> Vec<Value> {
        self.log("browser").await
    }

    /// What pages have requested since the last time, whether it was answered or not.
    pub(crate) async fn requested(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let requests = entries.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).unwrap();
            let message = &event["message"];
            let is_request = message["method"] == "Network.requestWillBeSent";
            is_request.then(|| message["params"]["request"]["url"].as_str().unwrap().to_owned())
        });
        requests.collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Fails only when all of it has ended.
        let _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
    }
}
