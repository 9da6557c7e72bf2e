//! A real browser for tests: Chromium over the DevTools protocol, one process per test binary, a page per test.
//!
//! Promises: a page has cookies of its own; anything the page complains about (a script error, a breach of the content
//! policy or of Trusted Types, a file that is not there) fails the test that holds it; no browser outlives its pages.
//! Not in the library of this package, which has only the standard library so that other crates borrow it cheaply.

#![allow(clippy::disallowed_methods, reason = "a test of a real browser waits in real time")]
#![allow(clippy::panic, reason = "a fixture fails the test that uses it")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::folder::Folder;
use tests::needs::Need;
use tests::skip;
use tungstenite::{Message, WebSocket};

/// Names another Chromium than the one on `PATH`.
const CHROMIUM_VARIABLE: &str = "WATCHPOST_CHROMIUM";
/// Names a copy of axe-core; otherwise it is fetched into the build folder once.
const AXE_VARIABLE: &str = "WATCHPOST_AXE";
const AXE_PACKAGE: &str = "axe-core@4.11";
/// A browser or a page that takes longer is stuck. Generous: the machine may be busy building.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two looks at a page that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How often a browser is started before it counts as broken.
const STARTS_MAX: u32 = 3;
const FLAGS: [&str; 14] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    // Our own server signs its certificate itself.
    "--ignore-certificate-errors",
    "--remote-debugging-port=0",
];

/// What belongs to the build and not to the repository: screenshots, axe-core.
pub(crate) fn build_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the build folder can be written");
    folder
}

/// The process that all pages share.
#[derive(Debug)]
struct Chromium {
    child: Child,
    /// Where the protocol is spoken.
    endpoint: String,
    _profile: Folder,
}

impl Chromium {
    /// The one that runs, or a new one.
    fn shared(program: &Path) -> Arc<Self> {
        static RUNNING: Mutex<Weak<Chromium>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start(program));
            *running = Arc::downgrade(&started);
            started
        })
    }

    /// Starts it; again where it ended at once, as it does now and then on a machine that is short of everything.
    fn start(program: &Path) -> Self {
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(program) {
                Ok(started) => return started,
                Err(lines) => said = lines,
            }
        }
        panic!("{} says no DevTools address, but:\n{said}", program.display());
    }

    /// What it said instead, where it does not listen.
    fn try_start(program: &Path) -> Result<Self, String> {
        let profile = Folder::new("browser");
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the browser starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let mut said = String::new();
        let endpoint = lines.find_map(|line| {
            said.push_str(&line);
            said.push('\n');
            line.strip_prefix("DevTools listening on ").map(str::to_owned)
        });
        let Some(endpoint) = endpoint else {
            let _ended = child.kill();
            let _reaped = child.wait();
            return Err(said);
        };
        // Its talk goes nowhere, but has to be read so that it does not wait for a reader.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, endpoint, _profile: profile })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What a page is looked at with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Touch, and twice the density.
    pub(crate) phone: bool,
    pub(crate) dark: bool,
    pub(crate) reduced_motion: bool,
    pub(crate) scripts: bool,
}

/// A desk.
pub(crate) const DESKTOP: Screen =
    Screen { width: 1440, height: 900, phone: false, dark: false, reduced_motion: true, scripts: true };
/// A hand.
pub(crate) const PHONE: Screen = Screen { width: 390, height: 844, phone: true, ..DESKTOP };

/// A page in a context of its own.
#[derive(Debug)]
pub(crate) struct Page {
    socket: WebSocket<TcpStream>,
    session: String,
    next_id: u64,
    /// How often a document was loaded.
    loads: u32,
    complaints: Vec<String>,
    /// Whether every new document gets axe-core.
    has_axe: bool,
    _chromium: Arc<Chromium>,
}

impl Page {
    /// A new page; none, after saying so, where there is no browser.
    pub(crate) fn open() -> Option<Self> {
        let named = std::env::var_os(CHROMIUM_VARIABLE).map(PathBuf::from);
        let program = named.or_else(|| skip::program(Need::Browser))?;
        let chromium = Chromium::shared(&program);
        let address = chromium.endpoint.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(address).expect("the browser listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket takes a time limit");
        let (socket, _) = tungstenite::client(&chromium.endpoint, stream).expect("the browser speaks the protocol");
        let mut page = Self {
            socket,
            session: String::new(),
            next_id: 1,
            loads: 0,
            complaints: Vec::new(),
            has_axe: false,
            _chromium: chromium,
        };
        let context = page.call("Target.createBrowserContext", &json!({"disposeOnDetach": true}));
        let target = page.call(
            "Target.createTarget",
            &json!({"url": "about:blank", "browserContextId": context["browserContextId"]}),
        );
        let attached = page.call("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}));
        page.session = attached["sessionId"].as_str().expect("a session has an id").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.emulate(DESKTOP);
        Some(page)
    }

    /// One command, and its answer. Events that come meanwhile are noted.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).expect("the browser takes a command");
        loop {
            let mut message = self.receive(method);
            if message["id"] == json!(id) {
                assert!(message["error"].is_null(), "{method} {params}: {}", message["error"]);
                return message["result"].take();
            }
        }
    }

    fn receive(&mut self, waiting_for: &str) -> Value {
        loop {
            let message = self.socket.read().unwrap_or_else(|error| panic!("{waiting_for}: {error}"));
            if let Message::Text(text) = message {
                let message: Value = serde_json::from_str(&text).expect("the browser speaks JSON");
                self.note(&message);
                return message;
            }
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.loads += 1,
            "Runtime.exceptionThrown" => self.complaints.push(format!("exception: {}", params["exceptionDetails"])),
            "Runtime.consoleAPICalled" if matches!(params["type"].as_str(), Some("error" | "warning" | "assert")) => {
                self.complaints.push(format!("console: {}", params["args"]));
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let text = entry["text"].as_str().unwrap_or_default();
                // A page that says 404 is an answer; a script or style that is not there is a fault.
                let url = entry["url"].as_str().unwrap_or_default();
                let answered = text.contains("the server responded with a status of") && !url.contains("/static/");
                if matches!(entry["level"].as_str(), Some("error" | "warning")) && !answered {
                    self.complaints.push(format!("{}: {text} ({url})", entry["source"]));
                }
            }
            _ => {}
        }
    }

    /// What the browser complained about so far; the test no longer fails for it.
    pub(crate) fn take_complaints(&mut self) -> Vec<String> {
        self.call("Runtime.evaluate", &json!({"expression": "0"}));
        std::mem::take(&mut self.complaints)
    }

    /// Size, colours and abilities, for what is loaded from now on.
    pub(crate) fn emulate(&mut self, screen: Screen) {
        let scale = if screen.phone { 2 } else { 1 };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": screen.width, "height": screen.height, "deviceScaleFactor": scale, "mobile": screen.phone}),
        );
        self.call("Emulation.setTouchEmulationEnabled", &json!({"enabled": screen.phone}));
        let scheme = if screen.dark { "dark" } else { "light" };
        let motion = if screen.reduced_motion { "reduce" } else { "no-preference" };
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({"features": [
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": motion},
            ]}),
        );
        self.call("Emulation.setScriptExecutionDisabled", &json!({"value": !screen.scripts}));
    }

    /// Opens an address and waits until all of it is there.
    #[track_caller]
    pub(crate) fn goto(&mut self, url: &str) {
        let loads = self.loads;
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        self.wait_for_load(loads, url);
    }

    fn wait_for_load(&mut self, loads: u32, what: &str) {
        let deadline = Instant::now() + WAIT_MAX;
        while self.loads == loads {
            assert!(Instant::now() < deadline, "{what}: nothing was loaded");
            self.receive(what);
        }
    }

    /// The value of an expression; a promise is waited for.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let answer = self
            .call("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}));
        assert!(answer["exceptionDetails"].is_null(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The text of the first element a selector finds.
    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let found = self.eval(&format!("document.querySelector({})?.innerText ?? null", json!(selector)));
        found.as_str().unwrap_or_else(|| panic!("nothing is {selector}")).to_owned()
    }

    /// Whether an expression is true of an element that is shown.
    pub(crate) fn is_shown(&mut self, selector: &str) -> bool {
        let test = format!("!!document.querySelector({})?.checkVisibility()", json!(selector));
        self.eval(&test) == json!(true)
    }

    /// Waits until an element is shown.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, selector: &str) {
        let deadline = Instant::now() + WAIT_MAX;
        while !self.is_shown(selector) {
            if Instant::now() > deadline {
                let text = self.eval("document.body.innerText");
                panic!("{selector} did not appear; the page says:\n{text}");
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Clicks where an element is, as a hand would: what lies over it gets the click.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let place = format!(
            "(() => {{ const e = document.querySelector({}); if (!e) return null; e.scrollIntoView({{block: 'center'}}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()",
            json!(selector)
        );
        let place = self.eval(&place);
        assert!(place.is_array(), "nothing is {selector}");
        for kind in ["mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                &json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}),
            );
        }
    }

    /// Clicks what leads to another page, and waits for that.
    #[track_caller]
    pub(crate) fn follow(&mut self, selector: &str) {
        let loads = self.loads;
        self.click(selector);
        self.wait_for_load(loads, selector);
    }

    /// Replaces what a field holds.
    #[track_caller]
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        let select = format!(
            "(() => {{ const e = document.querySelector({}); e?.focus(); e?.select(); return !!e; }})()",
            json!(selector)
        );
        assert_eq!(self.eval(&select), json!(true), "nothing is {selector}");
        self.type_text(text);
    }

    /// Types where the focus is.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Presses a key such as `Enter`, `k` or `Control+k`.
    pub(crate) fn key(&mut self, key: &str) {
        let (modifiers, key) = match key.rsplit_once('+') {
            Some(("Control", key)) => (2, key),
            Some(("Shift", key)) => (8, key),
            _ => (0, key),
        };
        // What a key does by itself: text where it writes, a code where the browser acts on it.
        let (text, code) = match key {
            "Enter" => ("\r", 13),
            "Tab" => ("", 9),
            "Escape" => ("", 27),
            "ArrowUp" => ("", 38),
            "ArrowDown" => ("", 40),
            key if key.chars().count() == 1 && modifiers != 2 => (key, 0),
            _ => ("", 0),
        };
        let down =
            json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code, "modifiers": modifiers});
        self.call("Input.dispatchKeyEvent", &down);
        let up = json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers});
        self.call("Input.dispatchKeyEvent", &up);
    }

    /// The whole page as a picture, in the folder `screens` of the build.
    pub(crate) fn screenshot(&mut self, name: &str) -> PathBuf {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", &params);
        let path = build_folder("screens").join(format!("{name}.png"));
        let bytes = from_base64(picture["data"].as_str().unwrap_or_default());
        std::fs::write(&path, bytes).expect("a picture can be written");
        path
    }

    /// What is told to those who do not see: `(role, name)` of everything that has both.
    pub(crate) fn ax_tree(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let seen = nodes.iter().filter(|node| node["ignored"] != json!(true));
        seen.map(|node| (text(&node["role"]), text(&node["name"]))).filter(|(_, name)| !name.is_empty()).collect()
    }

    /// What axe-core finds, one sentence per element; none where there is no axe-core, after saying so.
    pub(crate) fn axe(&mut self) -> Option<Vec<String>> {
        let source = axe_source()?;
        if !self.has_axe {
            // Half a megabyte is sent once, not with every page.
            self.call("Page.addScriptToEvaluateOnNewDocument", &json!({"source": source}));
            self.eval(&format!("{source}; 0"));
            self.has_axe = true;
        }
        let run = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}) \
                   .then((found) => found.violations.flatMap((rule) => rule.nodes.map((node) => \
                   rule.id + ': ' + node.html.slice(0, 160) + ' ' + node.any.map((check) => check.message).join('; '))))";
        let found = self.eval(run);
        let found = found.as_array().expect("axe answers with a list");
        Some(found.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if !thread::panicking() {
            let complaints = self.take_complaints();
            assert!(complaints.is_empty(), "the browser complains:\n{}", complaints.join("\n"));
        }
    }
}

/// axe-core's own code: the file that is named, the copy in the build folder, or one fetched there now.
fn axe_source() -> Option<&'static str> {
    static SOURCE: OnceLock<Option<String>> = OnceLock::new();
    let source = SOURCE.get_or_init(|| {
        let named = std::env::var_os(AXE_VARIABLE).map(PathBuf::from);
        let path = named.unwrap_or_else(|| build_folder("axe").join("package/axe.min.js"));
        std::fs::read_to_string(&path).ok().or_else(|| fetch_axe().and_then(|()| std::fs::read_to_string(&path).ok()))
    });
    if source.is_none() {
        skip::skip(Need::Axe, "axe-core is not there and could not be fetched with npm");
    }
    source.as_deref()
}

fn fetch_axe() -> Option<()> {
    let folder = build_folder("axe");
    let packed = Command::new("npm").args(["pack", "--silent", AXE_PACKAGE]).current_dir(&folder).output().ok()?;
    let file = String::from_utf8_lossy(&packed.stdout).lines().last()?.trim().to_owned();
    let unpacked = Command::new("tar").args(["-xzf", &file]).current_dir(&folder).status().ok()?;
    unpacked.success().then_some(())
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let group = |digits: &[u8]| {
        let bits = digits.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - digits.len()));
        bits.to_be_bytes()[1..digits.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[test]
fn base64_of_every_length_is_read() {
    for (text, bytes) in [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("+/8=", &[0xfb, 0xff])] {
        assert_eq!(from_base64(text), bytes, "{text}");
    }
}
