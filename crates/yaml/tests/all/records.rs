//! Declared schemas: what is read, what is refused and how, what is written, what is described, and that secrets stay
//! secret in all of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use yaml::{At, Bytes, Context, Decode, Encode, Map, Node, Schema, Shape, Spanned};

/// A secret type as a crate above declares it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Token(String);

impl Decode for Token {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        // Longer ones only, so that there is a message about a value that must not be shown.
        let text = String::decode(node, cx)?;
        if text.len() < 4 { cx.expected(node, "a token of at least 4 letters") } else { Some(Self(text)) }
    }
}

impl Encode for Token {
    fn encode(&self) -> Node {
        Node::plain("<secret>")
    }
}

impl Schema for Token {
    const SECRET: bool = true;

    fn shape() -> Shape {
        Shape::one("a token")
    }
}

yaml::choice! {
    /// Where the certificate comes from.
    #[derive(PartialOrd)]
    pub enum Mode {
        /// Our own authority.
        Auto = "auto",
        Files = "files" | "file",
        Off = "off",
    }
}

yaml::record! {
    pub struct Tls {
        /// Where the certificate comes from.
        pub mode: Mode,
        pub key_file: PathBuf = "key.pem".into(),
        pub tokens: Vec<Token>,
    }
}

yaml::record! {
    pub struct Client {
        /// How the client signs in.
        pub token: Token,
        pub token_file: String,
    }
}

yaml::record! {
    /// A route may hold routes.
    #[yaml(no_default)]
    pub struct Route {
        #[yaml(required)]
        pub receiver: String,
        #[yaml(name = "continue")]
        pub go_on: bool,
        pub routes: Vec<Route>,
    }
}

yaml::record! {
    /// Everything at once.
    #[yaml(check = Server::check)]
    pub struct Server {
        /// Addresses
        /// for TLS | HTTP.
        pub listen: Vec<String> = vec!["0.0.0.0:8443".into()],
        pub tls: Tls,
        #[yaml(range = 1..=100)]
        pub workers: u16 = 4,
        #[yaml(range = Duration::from_secs(1)..)]
        pub timeout: Duration = Duration::from_secs(60),
        pub size: Bytes = Bytes(1 << 30),
        pub ratio: f64 = 0.5,
        pub maybe: Option<u64>,
        pub labels: Map<String>,
        pub limits: BTreeMap<String, Bytes>,
        pub rules: Vec<Spanned<PathBuf>>,
        #[yaml(flatten)]
        pub client: Client,
        #[yaml(name = "type", range = ..=3)]
        pub kind: i32,
        pub route: Option<Route>,
        /// A name that would collide in careless code.
        pub map: bool,
        pub cx: bool = true,
    }
}

yaml::record! {
    pub struct Nothing {}
}

impl Server {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if at.has("token") && !self.client.token_file.is_empty() {
            cx.problem(at.key("token_file"), "expected at most one of token and token_file, found both");
        }
    }
}

fn read(text: &str) -> Result<Server, String> {
    yaml::from_str("s.yml", text).map_err(|problems| problems.to_string())
}

#[track_caller]
fn refused(text: &str, want: &str) {
    assert_eq!(read(text).expect_err(text), want);
}

#[test]
fn an_empty_file_gives_the_defaults() {
    for text in ["", "# nothing\n", "{}", "~"] {
        assert_eq!(read(text), Ok(Server::default()), "{text:?}");
    }
    let server = Server::default();
    assert_eq!((server.workers, server.cx, server.map, server.tls.mode), (4, true, false, Mode::Auto));
    assert_eq!(yaml::from_str::<Nothing>("n.yml", "{}"), Ok(Nothing::default()));
}

#[test]
fn every_type_is_read() {
    let server = read(
        "listen: [a, 12, yes]\ntls: {mode: file, tokens: [abcd]}\nworkers: 0x10\ntimeout: 1h30m\nsize: 64MB\nratio: 1\n\
         maybe: 18446744073709551615\nlabels: {z: 0x1, a: }\nlimits: {x: 1KiB}\nrules:\n  - a.yml\ntoken: hunter2\n\
         type: -1\nroute: {receiver: r, continue: on, routes: [{receiver: s}]}\n",
    )
    .expect("reads");
    assert_eq!(server.listen, ["a", "12", "yes"]);
    assert_eq!((server.tls.mode, server.workers, server.timeout), (Mode::Files, 16, Duration::from_secs(5400)));
    assert_eq!((server.size, server.maybe, server.kind), (Bytes(64 << 20), Some(u64::MAX), -1));
    assert!((server.ratio - 1.0).abs() < f64::EPSILON);
    assert_eq!(server.labels.iter().collect::<Vec<_>>(), [("z", &"0x1".to_owned()), ("a", &String::new())]);
    assert_eq!(server.limits["x"], Bytes(1024));
    assert_eq!(server.rules[0].place.to_string(), "s.yml:11:5");
    assert_eq!((server.client.token, server.client.token_file), (Token("hunter2".into()), String::new()));
    let route = server.route.expect("a route");
    assert!(route.go_on && !route.routes[0].go_on);
}

#[test]
fn a_key_without_a_value_is_the_default_or_nothing() {
    let server = read("listen:\ntls:\nworkers: ~\nlabels:\nmaybe: null\nsize:\n").expect("reads");
    assert_eq!(server, Server { listen: vec![], ..Server::default() });
}

#[test]
fn all_problems_come_at_once_with_place_and_key() {
    refused(
        "lisen: [a]\ntls: {mode: fils, nope: 1}\nworkers: 200\ntimeout: 1.5h\nratio: much\nmaybe: -1\nlimits: {x: 12}\n\
         type: 1.5\nmap: \"yes\"\nroute: {routes: [{receiver: }, {continue: 3}]}\n",
        "s.yml:2:13: tls.mode: expected one of auto, files, file, off (perhaps file), found \"fils\"\n\
         s.yml:2:19: tls: unknown key \"nope\", expected one of key_file, mode, tokens\n\
         s.yml:3:10: workers: expected a whole number from 1 to 100, found \"200\"\n\
         s.yml:4:10: timeout: expected a duration such as 30s, 5m or 1h30m, found \"1.5h\"\n\
         s.yml:5:8: ratio: expected a number, found \"much\"\n\
         s.yml:6:8: maybe: expected a whole number from 0 to 18446744073709551615, found \"-1\"\n\
         s.yml:7:13: limits.x: expected a size such as 512MB or 1GiB, found \"12\"\n\
         s.yml:8:7: type: expected a whole number from -2147483648 to 2147483647, found \"1.5\"\n\
         s.yml:10:8: route: expected the key \"receiver\" (a text), found no such key\n\
         s.yml:10:19: route.routes[0].receiver: expected a text, found nothing\n\
         s.yml:10:32: route.routes[1]: expected the key \"receiver\" (a text), found no such key\n\
         s.yml:10:43: route.routes[1].continue: expected true or false, found \"3\"\n\
         s.yml:9:6: map: expected true or false, found \"yes\"\n\
         s.yml:1:1: unknown key \"lisen\", expected perhaps \"listen\"",
    );
}

#[test]
fn lists_and_maps_are_not_taken_for_each_other() {
    refused(
        "listen: {a: 1}\ntls: text\nsize: [1]\nlabels: [a]\n",
        "s.yml:1:9: listen: expected a list of texts, found a map\n\
         s.yml:2:6: tls: expected a map, found a single value\n\
         s.yml:3:7: size: expected a size such as 512MB or 1GiB, found a list\n\
         s.yml:4:9: labels: expected a map of texts, found a list",
    );
}

#[test]
fn a_rule_between_keys_names_the_place_of_the_key() {
    refused("token: abcd\ntoken_file: x\n", "s.yml:2:1: expected at most one of token and token_file, found both");
}

#[test]
fn a_word_has_its_text_back() {
    assert_eq!(Mode::ALL.iter().map(ToString::to_string).collect::<Vec<_>>(), ["auto", "files", "off"]);
    assert_eq!("file".parse(), Ok(Mode::Files));
    assert_eq!("no".parse::<Mode>(), Err("expected one of auto, files, file, off, found \"no\"".to_owned()));
}

#[test]
fn no_message_shows_what_stands_at_a_secret() {
    for text in [
        "token: hun",
        "token: [hunter2]",
        "token: {hunter2: x}",
        "tls: {tokens: hunter2}",
        "tls: {tokens: [hun]}",
        "tls: hunter2",
        "token: !!int hunter2",
        "token: *hunter2",
        "token: \"hunter2",
        "token: [hunter2",
        "token: hunter2\ntoken: hunter2",
    ] {
        let message = read(text).expect_err(text);
        // A wrong key is named, so the map's key may be seen; a value never.
        assert!(!message.contains("hun"), "{message}");
    }
}

#[test]
fn what_is_written_is_read_back_and_secrets_are_not_written() {
    let text = "listen: [a, '12']\ntimeout: 1h30m\nlabels: {z: 'null', a: ''}\nroute: {receiver: r, routes: [{receiver: s}]}\n";
    let server = read(text).expect("reads");
    let written = yaml::to_string(&server);
    assert_eq!(
        written,
        "listen:\n- a\n- \"12\"\ntls:\n  mode: auto\n  key_file: key.pem\n  tokens: []\nworkers: 4\ntimeout: 1h30m\nsize: 1GiB\nratio: 0.5\n\
         labels:\n  z: \"null\"\n  a: \"\"\nlimits: {}\nrules: []\ntoken: <secret>\ntoken_file: \"\"\ntype: 0\n\
         route:\n  receiver: r\n  continue: false\n  routes:\n  - receiver: s\n    continue: false\n    routes: []\nmap: false\ncx: true\n"
    );
    let mut again = read(&written).expect("reads back");
    assert_eq!(again.client.token, Token("<secret>".into()));
    again.client.token = Token::default();
    assert_eq!(again, server);
}

#[test]
fn the_description_lists_every_key_that_the_decoder_knows() {
    let entries = yaml::schema::entries::<Server>();
    let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "listen",
            "tls",
            "tls.mode",
            "tls.key_file",
            "tls.tokens",
            "workers",
            "timeout",
            "size",
            "ratio",
            "maybe",
            "labels",
            "limits",
            "rules",
            "token",
            "token_file",
            "type",
            "route",
            "route.receiver",
            "route.continue",
            "route.routes",
            "map",
            "cx",
        ]
    );
    assert_eq!(yaml::schema::secrets::<Server>(), ["tls.tokens", "token"]);
    let workers = entries.iter().find(|entry| entry.path == "workers").expect("listed");
    assert_eq!((workers.words.as_str(), workers.default.as_deref()), ("a whole number from 1 to 100", Some("4")));
    assert!(entries.iter().find(|entry| entry.path == "route.receiver").expect("listed").required);
}

#[test]
fn the_page_is_made_from_the_description() {
    let page = yaml::schema::markdown::<Server>();
    assert!(page.contains("| `listen` | a list of texts | `[0.0.0.0:8443]` | Addresses for TLS \\| HTTP. |"), "{page}");
    assert!(page.contains("| `tls.tokens` | a list, each a token (never shown) | `[]` |  |"), "{page}");
    assert!(page.contains("| `route.receiver` | a text | required |  |"), "{page}");
    assert!(page.contains("| `timeout` | a duration such as 30s, 5m or 1h30m of at least 1s | `1m` |  |"), "{page}");
}
