//! A PostgreSQL server that takes connections over TLS, with customers in it.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use aquifer_tests::postgres::{Server, programs};
use aquifer_tests::processes::{run, wait_for};
use tempfile::TempDir;

use super::certificates::{Certificates, certificates_for};
use super::unit::{CANARIES, Unit};

/// How long the server may take to start, in milliseconds.
const START_MS: u64 = 60_000;

/// The server ends before its folder goes.
pub struct Postgres {
    _server: Server,
    folder: TempDir,
    programs: PathBuf,
    pub port: u16,
    pub certificates: Certificates,
}

impl Postgres {
    /// A server whose certificate is for this name. None where PostgreSQL is missing, which is a failure in CI.
    pub fn start(name: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            println!("SKIPPED: no PostgreSQL in /usr/lib/postgresql");
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is needed in CI"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let certificates = certificates_for(name, folder.path());
        Server::init(&programs, folder.path()).unwrap();
        let data = folder.path().join("data");
        // The server wants its key for itself.
        for (from, to) in [
            (&certificates.certificate, "server.crt"),
            (&certificates.key, "server.key"),
        ] {
            let mut install = Command::new("install");
            if rustix::process::geteuid().is_root() {
                install.args(["-o", "postgres"]);
            }
            run(install.args(["-m", "600"]).arg(from).arg(data.join(to)))
                .unwrap()
                .success()
                .unwrap();
        }
        fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        fs::write(data.join("postgresql.auto.conf"), "ssl = on\n").unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let port_text = port.to_string();
        let more = ["-h", "localhost", "-p", &port_text];
        let server = Server::start(&programs, folder.path(), &more).unwrap();
        let server = Self {
            _server: server,
            folder,
            programs,
            port,
            certificates,
        };
        wait_for("the server", START_MS, || {
            Ok(server.psql("SELECT 1").code.filter(|code| *code == 0))
        })
        .unwrap();
        let (role, password) = ("CREATE ROLE reader LOGIN PASSWORD", CANARIES[2]);
        server.run(&format!("{role} '{password}'"));
        Some(server)
    }

    fn psql(&self, sql: &str) -> aquifer_tests::processes::Outcome {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "aquifer",
            "-d",
            "postgres",
        ]);
        psql.arg("-h")
            .arg(self.folder.path())
            .arg("-p")
            .arg(self.port.to_string());
        run(psql.args(["-c", sql])).unwrap()
    }

    pub fn run(&self, sql: &str) {
        self.psql(sql).success().unwrap();
    }

    pub fn socket(&self) -> String {
        self.folder.path().to_string_lossy().into_owned()
    }

    /// The parts that reach it, in TOML.
    pub fn parts(&self) -> String {
        format!(
            "host = \"localhost\", port = {}, database = \"postgres\", user = \"reader\", password_file = \"password\", ca_file = {:?}",
            self.port, self.certificates.authority
        )
    }

    /// A unit whose table is this query.
    pub fn unit(&self, query: &str) -> Unit {
        self.unit_on(&self.parts(), query)
    }

    pub fn unit_on(&self, parts: &str, query: &str) -> Unit {
        unit_on(parts, "SELECT * FROM customers", query)
    }
}

pub fn unit_on(parts: &str, mapping: &str, query: &str) -> Unit {
    let table = format!("customers.postgres = {{ {parts} }}\ncustomers.query = '''{query}'''");
    Unit::mapped(mapping, &table).secret("password", &format!("{}\n", CANARIES[2]))
}

/// `aquifer` through the socket; others with a password, over TLS or without it.
const HBA: &str =
    "local all aquifer trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n";
