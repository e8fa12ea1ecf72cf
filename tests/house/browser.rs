//! A browser, driven as its own developer tools drive it.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::{Value, json};

use crate::{support::PATIENCE, websocket::WebSocket};

/// Chromium without a window, with one page.
pub struct Browser {
    child: Child,
    socket: WebSocket,
    session: Value,
    count: u64,
    _dir: tempfile::TempDir,
}

impl Browser {
    /// Start it and have it show a page.
    pub async fn open(url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            // A script's click is nobody's finger.
            .arg("--autoplay-policy=no-user-gesture-required")
            .arg(format!("--user-data-dir={}", dir.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("run `tests/run`, which installs chromium");
        let begun = Instant::now();
        let address = loop {
            // A port and a path, one a line.
            let file = fs::read_to_string(dir.path().join("DevToolsActivePort"));
            if let Some((port, path)) = file.unwrap_or_default().split_once('\n') {
                break format!("ws://127.0.0.1:{port}{}", path.trim());
            }
            assert!(begun.elapsed() < PATIENCE, "the browser does not start");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        let socket = WebSocket::to(&address).await;
        let mut browser = Self { child, socket, session: Value::Null, count: 0, _dir: dir };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let target = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", target).await["sessionId"].clone();
        browser.call("Page.navigate", json!({"url": url})).await;
        browser.until("document.readyState === 'complete'", "document.readyState").await;
        browser
    }

    /// What an expression of the page's script is; what it promises, if it is a promise.
    pub async fn value(&mut self, expression: &str) -> Value {
        let what = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", what).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Look until an expression is true; `instead` is one that says what there is meanwhile.
    pub async fn until(&mut self, expression: &str, instead: &str) {
        let begun = Instant::now();
        while self.value(expression).await != true {
            if begun.elapsed() > PATIENCE {
                panic!("not {expression}: {}", self.value(instead).await);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.count += 1;
        let mut call = json!({"id": self.count, "method": method, "params": params});
        if !self.session.is_null() {
            call["sessionId"] = self.session.clone();
        }
        self.socket.say(call.to_string()).await;
        loop {
            let mut answer = self.socket.json().await;
            if answer["id"] == self.count {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
