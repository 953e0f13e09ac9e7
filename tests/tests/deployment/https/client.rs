//! A door for HTTPS clients, and an analyst who comes with `curl`.

use std::net::TcpListener;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_tests::processes::{Outcome, command, run};
use serde_json::{Value, json};

use super::super::fixture::has_program;
use super::super::questions::{Reports, Shape};

/// Four units with an open standing study, and a door for HTTPS clients.
pub struct Door {
    pub reports: Reports,
    client: Client,
}

/// An analyst with a token.
pub struct Client {
    pub port: u16,
    folder: PathBuf,
    pub token: String,
}

/// What a request came to.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub kind: String,
    pub text: String,
}

impl Reply {
    /// What `curl` printed.
    pub fn read(printed: &str) -> Self {
        let (text, last) = printed.rsplit_once('\n').unwrap();
        let (status, kind) = last.split_once(' ').unwrap();
        Self {
            status: status.parse().unwrap(),
            kind: kind.to_owned(),
            text: text.to_owned(),
        }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// It is a problem document with these.
    #[track_caller]
    pub fn is_problem(&self, status: u16, members: Value) {
        assert_eq!(
            (self.status, &*self.kind),
            (status, "application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&problem[name], value, "{name} of {problem}");
        }
    }
}

/// A free TCP port on loopback.
pub fn free_port() -> u16 {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    free.local_addr().unwrap().port()
}

impl Door {
    /// None where this machine has no `curl`.
    pub fn open() -> Option<Self> {
        has_program("curl").then(|| Self::opened(&[]))
    }

    pub fn opened(more: &[&str]) -> Self {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let init = [&["--listen-https", &*address], more].concat();
        let reports = Reports::shaped(&Shape {
            init: &init,
            ..Shape::default()
        });
        let client = Client::of(port, &reports.analyst);
        Self { reports, client }
    }
}

impl Deref for Door {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    /// The analyst with this directory, with a token.
    pub fn of(port: u16, folder: &Path) -> Self {
        let (folder, token) = (folder.to_owned(), String::new());
        let mut client = Self {
            port,
            folder,
            token,
        };
        client.token = client.new_token("notebook", &[]);
        client
    }

    pub fn tokens(&self, arguments: &[&str]) -> Outcome {
        let arguments = [&["token"], arguments].concat();
        run(command("aquifer", arguments).arg("--dir").arg(&self.folder)).unwrap()
    }

    pub fn new_token(&self, name: &str, more: &[&str]) -> String {
        let issued = self.tokens(&[&["issue", name], more].concat());
        issued.success().unwrap().trim().to_owned()
    }

    pub fn curl(&self, path: &str, arguments: &[&str]) -> Command {
        let port = self.port;
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "\n%{http_code} %{content_type}", "--cacert"])
            .arg(self.folder.join("ca.pem"))
            .args(["--resolve", &format!("aquifer:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://aquifer:{port}{path}"));
        curl
    }

    /// The request that asks for the purpose that there is.
    pub fn asking(&self, path: &str, sql: &str, more: &Value) -> Command {
        let mut body = json!({"sql": sql, "purpose": "reporting"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let header = format!("Authorization: Bearer {}", self.token);
        self.curl(path, &["-H", &header, "--json", &body.to_string()])
    }

    /// A request without any token of its own accord.
    #[track_caller]
    pub fn bare(&self, path: &str, arguments: &[&str]) -> Reply {
        let printed = run(&mut self.curl(path, arguments)).unwrap();
        Reply::read(&printed.success().unwrap())
    }

    #[track_caller]
    pub fn with(&self, token: &str, path: &str, arguments: &[&str]) -> Reply {
        let header = format!("Authorization: Bearer {token}");
        self.bare(path, &[&["-H", &header], arguments].concat())
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.with(&self.token, path, &[])
    }

    /// A body of this type.
    #[track_caller]
    pub fn post(&self, path: &str, kind: &str, body: &str) -> Reply {
        let kind = format!("Content-Type: {kind}");
        self.with(&self.token, path, &["-H", &kind, "--data-binary", body])
    }

    #[track_caller]
    pub fn asks(&self, path: &str, sql: &str, more: Value) -> Reply {
        let printed = run(&mut self.asking(path, sql, &more)).unwrap();
        Reply::read(&printed.success().unwrap())
    }
}
