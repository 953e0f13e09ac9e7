//! `coordinator.toml`: read once, checked where it enters, unknown keys refused; and the commented text that `init` writes.
//!
//! Opens no file itself. Holds no key; the store's URL may hold a password and is never printed whole.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use aquifer_shared::base::limits::DOCUMENT_BYTES_MAX;
use aquifer_shared::base::units::OutOfRange;
use aquifer_shared::domain::facts::FactsConfig;
use aquifer_shared::protocol::ticket::{is_address, is_host};
use aquifer_shared::shell::at_rest::AtRestConfig;
use aquifer_shared::shell::policy_record;
use serde::Deserialize;

use super::demanded::{self, NodesConfig};
use super::lawful::LawConfig;

/// How a coordinator runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where nodes and people connect.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where tickets are redeemed.
    #[serde(default = "default_listen_join")]
    pub listen_join: SocketAddr,
    /// Where SQL clients connect (TCP, PostgreSQL's protocol over TLS); nowhere if it is left out.
    pub listen_sql: Option<SocketAddr>,
    /// Where HTTPS clients connect (TCP); nowhere if it is left out.
    pub listen_https: Option<SocketAddr>,
    /// What tickets name as the place to connect to.
    pub address: Address,
    /// What tickets name as the place to be redeemed at.
    pub address_join: Address,
    /// The name in the coordinator's own certificate.
    #[serde(default = "default_server_name")]
    pub server_name: ServerName,
    /// The database.
    #[serde(default = "default_store")]
    pub store: StoreUrl,
    /// How long certificates of nodes and people are valid.
    #[serde(default = "default_days")]
    pub certificate_days: CertificateDays,
    /// Where the key is under which files are encrypted.
    #[serde(default)]
    pub at_rest: AtRestConfig,
    /// Where the newest checkpoint of the history is kept, relative to the directory; `history.checkpoint` there if it is left out.
    pub history_checkpoint: Option<PathBuf>,
    /// Declared purposes and rules of law; without them only synthetic studies run.
    pub law: Option<LawConfig>,
    /// What documents out of the history say of parties, bases and measures; without it there are no such documents.
    pub facts: Option<FactsConfig>,
    /// Programs that nodes may run; without it any may join.
    pub nodes: Option<NodesConfig>,
}

/// `HOST:PORT`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Address(String);

/// A host name or an IP address.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct ServerName(String);

/// The URL of a SQLite file or a PostgreSQL database. `Debug` and `Display` hide what may be a password.
#[derive(Clone, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct StoreUrl(String);

/// Days that a certificate is valid, 1 to 365.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "u32")]
pub struct CertificateDays(u32);

/// A configuration that cannot be used, with its place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ConfigError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub problem: String,
}

impl Config {
    /// A configuration with the defaults for all that need not be stated.
    #[must_use]
    pub fn new(address: Address, address_join: Address) -> Self {
        Self {
            listen: default_listen(),
            listen_join: default_listen_join(),
            listen_sql: None,
            listen_https: None,
            address,
            address_join,
            server_name: default_server_name(),
            store: default_store(),
            certificate_days: default_days(),
            at_rest: AtRestConfig::default(),
            history_checkpoint: None,
            law: None,
            facts: None,
            nodes: None,
        }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// The first problem with its place: broken TOML, an unknown or missing key, a value outside its range, one socket for both.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            let problem = format!(
                "{} bytes, expected at most {DOCUMENT_BYTES_MAX}",
                text.len()
            );
            return Err(error_at(text, 0, problem));
        }
        let config: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let problem: Vec<&str> = error.message().lines().collect();
            error_at(text, start, problem.join(", "))
        })?;
        if config.listen == config.listen_join && config.listen.port() != 0 {
            let problem = format!(
                "\"listen\" and \"listen_join\" are both {}, expected different ports",
                config.listen
            );
            return Err(error_at(text, 0, problem));
        }
        if let Some(law) = &config.law {
            let place = text.find("officers").unwrap_or(0);
            policy_record::officers(law.officers())
                .map_err(|error| error_at(text, place, format!("{error:#}")))?;
        }
        Ok(config)
    }

    /// The file's text, with comments.
    #[must_use]
    pub fn to_text(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        SAMPLE
            .replace("{listen}", &quoted(&self.listen.to_string()))
            .replace("{listen_join}", &quoted(&self.listen_join.to_string()))
            .replace(
                "{listen_sql}",
                &door("listen_sql", self.listen_sql, "0.0.0.0:7432"),
            )
            .replace(
                "{listen_https}",
                &door("listen_https", self.listen_https, "0.0.0.0:7443"),
            )
            .replace("{address}", &quoted(&self.address.0))
            .replace("{address_join}", &quoted(&self.address_join.0))
            .replace("{server_name}", &quoted(&self.server_name.0))
            .replace("{days}", &self.certificate_days.0.to_string())
            .replace("{store}", &quoted(&self.store.0))
            .replace("{history_checkpoint}", &self.mark_line())
            + &self.law_text()
            + &self.facts_text()
            + &demanded::section(self.nodes.as_ref())
    }
}

impl Config {
    /// The line of the history's checkpoint; a comment where it stays in the directory.
    fn mark_line(&self) -> String {
        let path = self.history_checkpoint.as_ref();
        let shown = path.map(|path| path.display().to_string());
        shown.map_or_else(
            || "# history_checkpoint = \"/another/disk/history.checkpoint\"".to_owned(),
            |path| format!("history_checkpoint = {}", toml::Value::String(path)),
        )
    }

    /// The section about law; a comment where nothing is declared.
    fn law_text(&self) -> String {
        match self.law.as_ref().map(toml::to_string) {
            Some(Ok(section)) => format!("{LAW_HEADING}[law]\n{section}"),
            _ => format!(
                "{LAW_HEADING}{}",
                LAW_SAMPLE.replace("\n", "\n# ").trim_end_matches("# ")
            ),
        }
    }
}

impl Config {
    /// The section about facts; a comment where nothing is declared.
    fn facts_text(&self) -> String {
        let section = self.facts.as_ref();
        let section = section.map(|facts| toml::to_string(&BTreeMap::from([("facts", facts)])));
        match section {
            Some(Ok(section)) => format!("{FACTS_HEADING}{section}"),
            _ => format!("{FACTS_HEADING}{FACTS_SAMPLE}"),
        }
    }
}

/// The line of a door; a comment where it stays shut.
fn door(key: &str, address: Option<SocketAddr>, example: &str) -> String {
    match address {
        Some(address) => format!("{key} = \"{address}\""),
        None => format!("# {key} = \"{example}\""),
    }
}

impl Address {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same host, one port up; none after the last port.
    #[must_use]
    pub fn next_port(&self) -> Option<Self> {
        let (host, port) = self.0.rsplit_once(':')?;
        let port = port.parse::<u16>().ok()?.checked_add(1)?;
        Some(Self(format!("{host}:{port}")))
    }
}

impl ServerName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StoreUrl {
    /// The URL, for opening the store; never for showing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl CertificateDays {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with(SQLITE) {
            return f.write_str(&self.0);
        }
        let rest = POSTGRES.iter().find_map(|start| self.0.strip_prefix(start));
        let rest = rest.unwrap_or_default();
        let (query, at) = (rest.find('?'), rest.rfind('@'));
        if query.is_some() && at > query {
            // Which of the two marks belongs to a password cannot be told.
            return write!(f, "{}<hidden>", POSTGRES[0]);
        }
        let place = &rest[at.map_or(0, |at| at + 1)..query.unwrap_or(rest.len())];
        write!(f, "{}{place}", POSTGRES[0])
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

macro_rules! checked {
    ($type:ident, $what:literal, $expected:literal, $fits:expr, $shown:expr) => {
        impl TryFrom<String> for $type {
            type Error = OutOfRange;

            fn try_from(text: String) -> Result<Self, OutOfRange> {
                let (fits, shown): (fn(&str) -> bool, fn(&str) -> String) = ($fits, $shown);
                if fits(&text) {
                    return Ok(Self(text));
                }
                Err(OutOfRange {
                    what: $what,
                    expected: $expected,
                    got: shown(&text),
                })
            }
        }

        impl std::str::FromStr for $type {
            type Err = OutOfRange;

            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                Self::try_from(text.to_owned())
            }
        }
    };
}

checked!(
    Address,
    "address",
    "HOST:PORT, an IPv6 address in brackets",
    is_address,
    quoted
);
checked!(
    ServerName,
    "server name",
    "a host name or an IP address",
    is_host,
    quoted
);
checked!(
    StoreUrl,
    "store",
    "sqlite://FILE or postgres://USER@HOST/DATABASE",
    is_store,
    // It may be a mistyped URL with a password in it.
    |text| format!("{} characters", text.chars().count())
);

impl TryFrom<u32> for CertificateDays {
    type Error = OutOfRange;

    fn try_from(days: u32) -> Result<Self, OutOfRange> {
        if (1..=CERTIFICATE_DAYS_MAX).contains(&days) {
            return Ok(Self(days));
        }
        Err(OutOfRange {
            what: "certificate_days",
            expected: "1 to 365",
            got: days.to_string(),
        })
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}

fn is_store(text: &str) -> bool {
    let file = text.strip_prefix(SQLITE);
    let database = POSTGRES.iter().find_map(|start| text.strip_prefix(start));
    let plain = |file: &str| !file.is_empty() && !file.contains(['?', '#', '%']);
    text.len() <= STORE_BYTES_MAX && (file.is_some_and(plain) || database.is_some())
}

fn error_at(text: &str, start: usize, problem: String) -> ConfigError {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    ConfigError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem,
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7_400))
}

fn default_listen_join() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7_401))
}

fn default_server_name() -> ServerName {
    ServerName("aquifer".to_owned())
}

fn default_store() -> StoreUrl {
    StoreUrl("sqlite://store.sqlite".to_owned())
}

fn default_days() -> CertificateDays {
    CertificateDays(30)
}

const CERTIFICATE_DAYS_MAX: u32 = 365;
const STORE_BYTES_MAX: usize = 2_048;
const SQLITE: &str = "sqlite://";
const POSTGRES: [&str; 2] = ["postgres://", "postgresql://"];
const SAMPLE: &str = r#"# Aquifer coordinator. Read once, when a command starts; unknown keys are refused.

# Where nodes and people connect (UDP), and where tickets are redeemed (UDP, another port).
listen = {listen}
listen_join = {listen_join}

# Where SQL clients connect (TCP, PostgreSQL's protocol, TLS only). Nowhere unless it is set.
{listen_sql}

# Where HTTPS clients connect (TCP, TLS only). Nowhere unless it is set.
{listen_https}

# The same two places as seen by nodes and people: tickets carry them. Tickets that are out already keep what they carry.
address = {address}
address_join = {address_join}

# The name in the coordinator's own certificate. Nodes that have joined expect it: change it only before the first invitation.
server_name = {server_name}

# sqlite://FILE (relative to this file) or postgres://USER@HOST/DATABASE. This file may then hold a password:
# keep it readable for its owner alone, or name the password in PGPASSFILE.
store = {store}

# How long certificates of nodes and people are valid; they are renewed long before.
certificate_days = {days}

# The newest checkpoint of the history, which says if that was cut or put back: best on another disk than this directory.
{history_checkpoint}

# The key under which the store and secret files are encrypted; name one place.
[at_rest]
# key_file = "at-rest.key"      # made by init; move it to another volume or a secret store, and name it here
# key_env = "AQUIFER_KEY"       # or: a variable of the environment, 64 hexadecimal digits
# key_command = ["pass", "show", "aquifer/coordinator"]   # or: what a command prints
"#;
const LAW_HEADING: &str = "
# What may be done with people's data. Without this section only synthetic studies run. Where the coordinator is, where customers of
# all units live, under what noisy sums come from other countries (within, tool, contract_terms, bare), declared purposes, what the
# columns of the contracts are about; further: packs = \"FOLDER\", columns = { NAME = [\"CATEGORY\"] }, dpia_current, reviewers, officers
# (identity keys of people of whom two sign every change of this file and of purposes and packs; fewer than two: one person can change them).
";
const LAW_SAMPLE: &str = "# [law]
controller = \"DE\"
places = [\"DE\"]
transfer = \"within\"
purposes = \"purposes.toml\"
categories = [\"contract\", \"usage\", \"payment\"]
";

const FACTS_HEADING: &str = "
# What notices, model cards and records of processing say, made of the history by `aquifer facts`. It enters the history, which leaves the
# coordinator: offices and mailboxes, no names of people. Every purpose of [law] has its basis here; further: subjects, source, recipients, measures.
";
const FACTS_SAMPLE: &str = "# [facts]
# controller = \"Example Ltd, each branch for its own customers\"
# controller_contact = \"privacy@example.org\"
# processor = \"Example Holding, head office\"
# processor_contact = \"data@example.org\"
# dpo = \"dpo@example.org\"
# role = \"controller\"             # or joint_controllers, processor
# authority = \"the authority of the branch's state\"
# basis = { \"churn.train\" = \"consent\", \"churn.score\" = \"consent\", reporting = \"legitimate_interests\" }
";

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(
            "coordinator.example.org:7400".parse().unwrap(),
            "coordinator.example.org:7401".parse().unwrap(),
        )
    }

    #[test]
    fn what_init_writes_reads_back() {
        let mut config = config();
        assert_eq!(Config::parse(&config.to_text()), Ok(config.clone()));
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.listen_join = "127.0.0.1:0".parse().unwrap();
        config.listen_sql = "127.0.0.1:7432".parse().ok();
        config.listen_https = "127.0.0.1:7443".parse().ok();
        config.store = "postgres://a:\"b\\@db/aquifer".parse().unwrap();
        config.certificate_days = 7.try_into().unwrap();
        config.law = Some(LawConfig::at("DE"));
        config.facts = sample_facts().facts;
        assert!(config.facts.is_some());
        let programs = vec![format!("{:064x}", 7), format!("{:064x}", 9)];
        config.nodes = Some(NodesConfig {
            programs: programs.try_into().unwrap(),
        });
        assert_eq!(Config::parse(&config.to_text()), Ok(config));
    }

    /// What the comment shows, as people use it.
    fn sample_facts() -> Config {
        let lines = FACTS_SAMPLE.lines();
        let lines = lines.map(|line| format!("{}\n", line.trim_start_matches("# ")));
        let shown: String = lines.collect();
        Config::parse(&config().to_text().replace(FACTS_SAMPLE, &shown)).unwrap()
    }

    #[track_caller]
    fn check_refused(from: &str, to: &str, place: (usize, usize), problem: &str) {
        let text = config().to_text();
        assert!(text.contains(from), "{from}");
        let error = Config::parse(&text.replacen(from, to, 1)).unwrap_err();
        assert_eq!((error.line, error.column), place, "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }

    #[test]
    fn unknown_keys_are_refused_with_their_place() {
        check_refused("listen =", "lisen =", (4, 1), "lisen");
    }

    #[test]
    fn addresses_are_checked() {
        check_refused(
            "\"coordinator.example.org:7400\"",
            "\"north\"",
            (14, 11),
            "HOST:PORT",
        );
        check_refused("\"0.0.0.0:7400\"", "\"7400\"", (4, 10), "socket address");
    }

    #[test]
    fn days_have_limits() {
        check_refused(
            "certificate_days = 30",
            "certificate_days = 0",
            (25, 20),
            "1 to 365",
        );
        check_refused(
            "certificate_days = 30",
            "certificate_days = 366",
            (25, 20),
            "366",
        );
    }

    #[test]
    fn one_socket_does_not_serve_both() {
        check_refused("0.0.0.0:7401", "0.0.0.0:7400", (1, 1), "different ports");
    }

    #[test]
    fn an_address_is_needed() {
        let error = Config::parse("listen = \"0.0.0.0:1\"").unwrap_err();
        assert!(error.problem.contains("address"), "{error}");
    }

    #[test]
    fn a_store_is_a_file_or_a_database() {
        for bad in [
            "",
            "store.sqlite",
            "sqlite://",
            "sqlite://a?mode=ro",
            "mysql://x",
        ] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad}");
        }
        for good in ["sqlite://a.db", "sqlite:///var/a.db", "postgresql://u@h/d"] {
            assert!(good.parse::<StoreUrl>().is_ok(), "{good}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let url: StoreUrl = "postgresql://u:s@cret@db:5432/aquifer?password=cret"
            .parse()
            .unwrap();
        assert_eq!(
            format!("{url} {url:?}"),
            "postgres://db:5432/aquifer StoreUrl(postgres://db:5432/aquifer)"
        );
        let odd: StoreUrl = "postgres://u:p?x@db/aquifer".parse().unwrap();
        assert_eq!(odd.to_string(), "postgres://<hidden>");
        let bad = "postgre://u:secret@db/x".parse::<StoreUrl>().unwrap_err();
        assert!(!bad.to_string().contains("secret"));
    }

    #[test]
    fn the_join_address_is_one_port_up() {
        let address: Address = "[2001:db8::7]:7400".parse().unwrap();
        assert_eq!(address.next_port(), "[2001:db8::7]:7401".parse().ok());
        let last: Address = "host:65535".parse().unwrap();
        assert_eq!(last.next_port(), None);
    }
}
