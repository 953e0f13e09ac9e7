//! `[data]` of node.toml: which tables the unit has, and where each of them is.
//!
//! Holds names of places only: passwords and keys are in files of their own, or in the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use aquifer_shared::base::ids::Name;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// `[data]` of node.toml.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The contract file, relative to node.toml.
    pub contract: PathBuf,
    /// SQL that maps the unit's tables to the contract.
    pub query: String,
    /// Why the unit may use the data, printed in statements.
    pub basis: String,
    /// Public, declared with room; a bigger table is refused.
    pub customers_max: u64,
    /// Column of the mapped table that fixes the hold-out (`test` or true = held out).
    #[serde(default)]
    pub holdout_column: Option<String>,
    /// Public name of the state that the published tables show; another state has another name.
    #[serde(default)]
    pub epoch: Option<Name>,
    /// SQL that maps the unit's tables to each table for analysts.
    #[serde(default)]
    pub published: BTreeMap<String, String>,
    /// Where each table is, by its name in the query.
    pub tables: BTreeMap<String, TableConfig>,
}

/// Where a table is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TableConfig {
    /// A CSV, Parquet or NDJSON file, or a folder of such files, relative to node.toml.
    Files(PathBuf),
    /// What a query gives on a PostgreSQL server.
    Postgres {
        /// The server.
        server: PostgresConfig,
        /// SQL that the server runs.
        query: String,
    },
    /// Objects of an S3-compatible store.
    S3(S3Config),
}

/// A PostgreSQL server, by a URL in a file or by its parts.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// File with `postgres://user:password@host:port/database`, readable for its owner alone.
    pub url_file: Option<PathBuf>,
    /// Name or address, or the folder of a unix socket.
    pub host: Option<String>,
    /// Default: 5432.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// The role, best one that may read and nothing else.
    pub user: Option<String>,
    /// File with the password, readable for its owner alone.
    pub password_file: Option<PathBuf>,
    /// PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// No TLS: only for a loopback address or a unix socket.
    #[serde(default)]
    pub plain: bool,
    /// The server stops the query after this long.
    pub timeout_seconds: Option<u32>,
}

/// Objects of an S3-compatible store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// `s3://bucket/key` of one object, or `s3://bucket/prefix/` of all below.
    pub url: String,
    /// The store's URL; default: that of AWS for the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// File with `aws_access_key_id = …` and `aws_secret_access_key = …`, readable for its owner alone.
    pub credentials_file: Option<PathBuf>,
    /// Credentials from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    #[serde(default)]
    pub environment: bool,
    /// PEM file of authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// No TLS: only for a loopback address.
    #[serde(default)]
    pub allow_http: bool,
}

/// A table as it is written: exactly one place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    files: Option<PathBuf>,
    postgres: Option<PostgresConfig>,
    query: Option<String>,
    s3: Option<S3Config>,
}

impl From<&str> for TableConfig {
    fn from(path: &str) -> Self {
        Self::Files(path.into())
    }
}

impl From<PathBuf> for TableConfig {
    fn from(path: PathBuf) -> Self {
        Self::Files(path)
    }
}

impl<'de> Deserialize<'de> for TableConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = TableConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, or a table with one of `files`, `postgres` (and `query`), `s3`")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<TableConfig, E> {
        Ok(path.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TableConfig, A::Error> {
        let written = Written::deserialize(MapAccessDeserializer::new(map))?;
        written.checked().map_err(A::Error::custom)
    }
}

impl Written {
    fn checked(self) -> Result<TableConfig, String> {
        if self.query.is_some() && self.postgres.is_none() {
            return Err("`query` belongs to `postgres` only: this table has no server".to_owned());
        }
        match (self.files, self.postgres, self.s3) {
            (Some(path), None, None) => Ok(TableConfig::Files(path)),
            (None, Some(server), None) => {
                server.check()?;
                let query = self
                    .query
                    .ok_or("`postgres` needs `query`: the SQL that the server runs")?;
                Ok(TableConfig::Postgres { server, query })
            }
            (None, None, Some(store)) => {
                store.check()?;
                Ok(TableConfig::S3(store))
            }
            _ => Err("expected exactly one of `files`, `postgres`, `s3`".to_owned()),
        }
    }
}

impl PostgresConfig {
    fn check(&self) -> Result<(), String> {
        let parts = [&self.host, &self.database, &self.user].map(Option::is_some);
        let any = parts.contains(&true) || self.port.is_some() || self.password_file.is_some();
        if self.url_file.is_some() && any {
            return Err(
                "`url_file` holds host, port, database, user and password: give it or these, not both"
                    .to_owned(),
            );
        }
        if self.url_file.is_none() && parts.contains(&false) {
            return Err("`postgres` needs `url_file`, or `host`, `database` and `user`".to_owned());
        }
        match &self.host {
            Some(host) if self.plain && !is_here(host) => Err(REMOTE_PLAIN.to_owned()),
            Some(host) if host.starts_with('/') && !self.plain => Err(format!(
                "a unix socket has no TLS: say so with `plain = true`, or give a host instead of {host:?}"
            )),
            _ if self.timeout_seconds == Some(0) => {
                Err("`timeout_seconds` is 0, expected 1 or more".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl S3Config {
    fn check(&self) -> Result<(), String> {
        if self.bucket_and_key().is_none() {
            // Not quoted: some write keys into URLs.
            return Err(
                "`url` is not as expected: \"s3://bucket/object\" or \"s3://bucket/prefix/\""
                    .to_owned(),
            );
        }
        if self.environment == self.credentials_file.is_some() {
            return Err(
                "`s3` needs its credentials from one place: `credentials_file` or `environment = true`"
                    .to_owned(),
            );
        }
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        let (scheme, host) = endpoint_parts(endpoint).ok_or_else(|| {
            "`endpoint` is not a URL of a host, expected one such as \"https://s3.north.example\""
                .to_owned()
        })?;
        match scheme {
            "https" => Ok(()),
            _ if self.allow_http && is_here(host) => Ok(()),
            _ => Err(format!(
                "`endpoint` is {endpoint:?}, expected https (http only at a loopback address, with `allow_http = true`)"
            )),
        }
    }

    /// Bucket, and the key or prefix.
    pub(super) fn bucket_and_key(&self) -> Option<(&str, &str)> {
        let (bucket, key) = self.url.strip_prefix("s3://")?.split_once('/')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        (!bucket.is_empty() && bucket.chars().all(plain)).then_some((bucket, key))
    }

    /// Host and port of the store.
    pub(super) fn host(&self) -> Option<(String, u16)> {
        let Some(endpoint) = &self.endpoint else {
            return Some((format!("s3.{}.amazonaws.com", self.region), 443));
        };
        let (scheme, host) = endpoint_parts(endpoint)?;
        let usual = if scheme == "https" { 443 } else { 80 };
        let rest = endpoint.split_once("://")?.1;
        let after = &rest[rest.find(host)? + host.len()..];
        let port = after.trim_start_matches(']').strip_prefix(':');
        let port = port.map(|port| port.trim_end_matches('/').parse().ok());
        Some((host.to_owned(), port.unwrap_or(Some(usual))?))
    }
}

/// Scheme and host of an endpoint without user, path or query.
fn endpoint_parts(endpoint: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let authority = rest.trim_end_matches('/');
    let (host, after) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_fits = after.is_empty()
        || after
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
    let fits = matches!(scheme, "http" | "https") && port_fits && !host.is_empty();
    (fits && host.chars().all(plain)).then_some((scheme, host))
}

/// Whether bytes to this host never leave the machine.
pub(super) fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.starts_with('/') || host == "localhost" || address.is_ok_and(|found| found.is_loopback())
}

pub(super) const REMOTE_PLAIN: &str =
    "`plain = true` is for a loopback address or a unix socket only, not for another host";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TableConfig, String> {
        #[derive(Deserialize)]
        struct Data {
            tables: BTreeMap<String, TableConfig>,
        }
        let data: Result<Data, _> = toml::from_str(&format!("[tables]\n{text}"));
        let mut data = data.map_err(|error| error.to_string())?;
        Ok(data.tables.remove("t").unwrap())
    }

    #[track_caller]
    fn check_wrong(text: &str, expected: &str) {
        let found = parse(text).unwrap_err();
        assert!(found.contains(expected), "{found}");
    }

    const SERVER: &str = r#"host = "db.north.example", database = "crm", user = "reader""#;

    #[test]
    fn a_table_is_in_one_place() {
        assert_eq!(parse(r#"t = "a.csv""#), Ok("a.csv".into()));
        assert_eq!(parse(r#"t = { files = "a.csv" }"#), Ok("a.csv".into()));
        let found = parse(&format!(
            "t.postgres = {{ {SERVER} }}\nt.query = 'SELECT 1'"
        ))
        .unwrap();
        assert!(matches!(found, TableConfig::Postgres { query, .. } if query == "SELECT 1"));
        check_wrong("t = 7", "expected a path, or a table with");
        check_wrong("t = {}", "expected exactly one of");
        check_wrong(r#"t = { file = "a.csv" }"#, "unknown field `file`");
        check_wrong(
            r#"t = { files = "a.csv", query = "SELECT 1" }"#,
            "belongs to `postgres` only",
        );
        check_wrong(&format!("t.postgres = {{ {SERVER} }}"), "needs `query`");
    }

    #[track_caller]
    fn check_server(server: &str, expected: Option<&str>) {
        let found = parse(&format!(
            "t.query = 'SELECT 1'\nt.postgres = {{ {server} }}"
        ));
        match expected {
            None => assert!(found.is_ok(), "{found:?}"),
            Some(expected) => assert!(
                found.as_ref().is_err_and(|e| e.contains(expected)),
                "{found:?}"
            ),
        }
    }

    #[test]
    fn servers_are_named_whole_and_plain_ones_are_here() {
        check_server(SERVER, None);
        check_server(r#"url_file = "url""#, None);
        check_server(&format!(r#"{SERVER}, url_file = "url""#), Some("not both"));
        check_server(r#"host = "a", user = "u""#, Some("needs `url_file`, or"));
        check_server(
            &format!(r#"{SERVER}, password = "x""#),
            Some("unknown field `password`"),
        );
        check_server(&format!("{SERVER}, plain = true"), Some("loopback address"));
        check_server(&format!("{SERVER}, timeout_seconds = 0"), Some("1 or more"));
        for here in ["127.0.0.1", "::1", "localhost", "/var/run/postgresql"] {
            check_server(
                &format!("{}, plain = true", SERVER.replace("db.north.example", here)),
                None,
            );
        }
        check_server(
            &SERVER.replace("db.north.example", "/run"),
            Some("a unix socket has no TLS"),
        );
    }

    #[track_caller]
    fn check_store(store: &str, expected: Option<&str>) {
        let found = parse(&format!("t.s3 = {{ region = 'x', {store} }}"));
        match expected {
            None => assert!(found.is_ok(), "{found:?}"),
            Some(expected) => assert!(
                found.as_ref().is_err_and(|e| e.contains(expected)),
                "{found:?}"
            ),
        }
    }

    #[test]
    fn stores_are_reached_over_tls_with_credentials_from_one_place() {
        let good = r#"url = "s3://b-1/k/", environment = true"#;
        check_store(good, None);
        check_store(r#"url = "s3://b/k", credentials_file = "c""#, None);
        check_store(
            &format!(r#"{good}, credentials_file = "c""#),
            Some("one place"),
        );
        check_store(r#"url = "s3://b/k""#, Some("one place"));
        check_store(
            &format!(r#"{good}, secret = "c""#),
            Some("unknown field `secret`"),
        );
        for wrong in ["s3://", "s3://b", "s3:///k", "https://b/k", "s3://KEY@b/k"] {
            check_store(
                &good.replace("s3://b-1/k/", wrong),
                Some("expected: \"s3://bucket"),
            );
        }
        check_store(&format!(r#"{good}, endpoint = "https://s3.x:9000/""#), None);
        check_store(
            &format!(r#"{good}, endpoint = "http://s3.x""#),
            Some("expected https"),
        );
        let loopback = format!(r#"{good}, endpoint = "http://127.0.0.1:9000""#);
        check_store(&loopback, Some("expected https"));
        check_store(&format!("{loopback}, allow_http = true"), None);
        check_store(
            &format!(r#"{good}, allow_http = true, endpoint = "http://s3.x""#),
            Some("expected https"),
        );
        for wrong in [
            "https://u:p@h",
            "https://h/path",
            "https://h?x",
            "ftp://h",
            "h",
            "https://h:99999",
        ] {
            check_store(
                &format!(r#"{good}, endpoint = "{wrong}""#),
                Some("not a URL of a host"),
            );
        }
    }

    #[test]
    fn hosts_have_ports() {
        for (endpoint, expected) in [
            (None, ("s3.x.amazonaws.com", 443)),
            (Some("https://h"), ("h", 443)),
            (Some("http://127.0.0.1/"), ("127.0.0.1", 80)),
            (Some("https://h:9000/"), ("h", 9_000)),
            (Some("https://[::1]:9000"), ("::1", 9_000)),
        ] {
            let store = S3Config {
                region: "x".to_owned(),
                endpoint: endpoint.map(str::to_owned),
                ..S3Config::default()
            };
            assert_eq!(store.host(), Some((expected.0.to_owned(), expected.1)));
        }
    }
}
