//! What a client says of itself when it opens a session, and what the server says of itself.

use std::collections::BTreeMap;

use crate::core::sql::{self, Change, Refusal, Settings};

/// What a session has set: settings of our own, and those that only the client cares for.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// Settings of our own.
    pub own: Settings,
    /// The database that the client asked for: there is one, under any name.
    pub database: String,
    client: BTreeMap<String, String>,
    /// What the connection came with: what `RESET` returns to.
    first: Option<Box<Self>>,
}

/// The version that clients are told, so that they ask for what there is.
pub(super) const SERVER_VERSION: &str = "15.0";

impl Options {
    /// What a client's first message sets: parameters, and `-c NAME=VALUE` in its options.
    ///
    /// # Errors
    ///
    /// A setting that does not exist, or does not take the value.
    pub(super) fn of(parameters: &[(String, String)]) -> Result<Self, Refusal> {
        let mut options = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "database" => options.database.clone_from(value),
                "user" | "replication" => {}
                "options" => {
                    for (name, value) in command_line(value) {
                        options.set(sql::set(&name, &value)?)?;
                    }
                }
                name if name.starts_with("_pq_.") || value.is_empty() => {}
                name => options.set(sql::set(name, value)?)?,
            }
        }
        options.first = Some(Box::new(options.clone()));
        Ok(options)
    }

    /// What the session has set is forgotten; what the connection came with stays.
    pub(super) fn reset(&mut self) {
        if let Some(first) = self.first.clone() {
            *self = Self {
                first: Some(first.clone()),
                ..*first
            };
        }
    }

    /// Carries out a change.
    ///
    /// # Errors
    ///
    /// An encoding that is not UTF-8: texts would be read as others.
    pub(super) fn set(&mut self, change: Change) -> Result<(), Refusal> {
        match &change {
            Change::ResetAll => {
                self.reset();
                return Ok(());
            }
            Change::Client(name, Some(value)) => {
                if name == "client_encoding" && !is_utf8(value) {
                    return Err(Refusal {
                        state: "22023",
                        position: None,
                        message: "the only client_encoding is UTF8".into(),
                        hint: "SET client_encoding = 'UTF8'".into(),
                        rule: sql::Rule::Settings,
                    });
                }
                self.client.insert(name.clone(), value.clone());
            }
            Change::Client(name, None) => drop(self.client.remove(name)),
            _ => {}
        }
        let first = self.first.as_ref().map(|first| &first.own);
        self.own.apply(match (change, first) {
            (Change::Purpose(None), Some(first)) => Change::Purpose(first.purpose.clone()),
            (Change::RequestId(None), Some(first)) => Change::RequestId(first.request_id.clone()),
            (Change::RhoShare(None), Some(first)) => Change::RhoShare(first.rho_share),
            (change, _) => change,
        });
        Ok(())
    }

    /// What `SHOW` says of a setting.
    pub(super) fn shown(&self, name: &str) -> String {
        let own = self.own.shown(name);
        let known = usual(name);
        let fixed = FIXED.contains(&name) && !known.is_empty();
        own.or_else(|| self.client.get(name).filter(|_| !fixed).cloned())
            .unwrap_or_else(|| known.to_owned())
    }

    /// What `current_setting` says; none where there is no such setting.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let known = sql::OWN.contains(&&*name) || sql::CLIENT.contains(&&*name);
        let fixed = || crate::core::catalogue::fixed_setting(&name).map(str::to_owned);
        known.then(|| self.shown(&name)).or_else(fixed)
    }

    /// What every client is told of the server at the start.
    pub(super) fn statuses(&self, user: &str) -> Vec<(String, String)> {
        let told = |name: &str| (reported(name).to_owned(), self.shown(name));
        let mut statuses: Vec<_> = REPORTED.map(told).to_vec();
        for (name, value) in [
            ("server_encoding", "UTF8"),
            ("integer_datetimes", "on"),
            ("is_superuser", "off"),
            ("in_hot_standby", "off"),
            ("session_authorization", user),
        ] {
            statuses.push((name.to_owned(), value.to_owned()));
        }
        statuses
    }
}

fn is_utf8(value: &str) -> bool {
    let letters = value.chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    ["utf8", "unicode"].contains(&name.as_str())
}

/// `-c NAME=VALUE`, `-cNAME=VALUE` and `--NAME=VALUE`; a backslash keeps a space.
fn command_line(text: &str) -> Vec<(String, String)> {
    let (mut words, mut kept) = (vec![String::new()], false);
    for character in text.chars() {
        match character {
            '\\' if !kept => {
                kept = true;
                continue;
            }
            ' ' if !kept => words.push(String::new()),
            other => words
                .last_mut()
                .into_iter()
                .for_each(|word| word.push(other)),
        }
        kept = false;
    }
    let settings = words.iter().filter_map(|word| {
        let word = word
            .strip_prefix("--")
            .or(word.strip_prefix("-c"))
            .unwrap_or(word);
        let (name, value) = word.split_once('=')?;
        Some((name.replace('-', "_"), value.to_owned()))
    });
    settings.collect()
}

/// The value that a setting has until a client sets it.
fn usual(name: &str) -> &'static str {
    match name {
        "bytea_output" => "hex",
        "client_encoding" => "UTF8",
        "client_min_messages" => "notice",
        "datestyle" => "ISO, MDY",
        "default_transaction_isolation" | "transaction_isolation" => "read committed",
        "default_transaction_read_only" | "transaction_read_only" => "on",
        "extra_float_digits" => "1",
        "geqo" | "jit" => "off",
        "idle_in_transaction_session_timeout" | "lock_timeout" | "statement_timeout" => "0",
        "intervalstyle" => "postgres",
        "max_identifier_length" => "63",
        "row_security" | "standard_conforming_strings" => "on",
        "search_path" => "public",
        "server_version" => SERVER_VERSION,
        "timezone" => "Etc/UTC",
        _ => "",
    }
}

/// A setting's name as PostgreSQL reports it.
fn reported(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

const REPORTED: [&str; 8] = [
    "server_version",
    "client_encoding",
    "application_name",
    "default_transaction_read_only",
    "datestyle",
    "intervalstyle",
    "timezone",
    "standard_conforming_strings",
];
/// What a client may ask for and does not get.
const FIXED: [&str; 6] = [
    "client_encoding",
    "default_transaction_read_only",
    "max_identifier_length",
    "server_version",
    "standard_conforming_strings",
    "transaction_read_only",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Result<Options, Refusal> {
        Options::of(&[("user".into(), "ada".into()), (name.into(), value.into())])
    }

    #[test]
    fn purposes_come_with_the_connection() {
        let purpose = |options: Options| options.own.purpose;
        let all = of("options", "-c aquifer.purpose=reporting").unwrap();
        assert_eq!(purpose(all).as_deref(), Some("reporting"));
        let all = of("options", "--aquifer.purpose=a\\ b -c geqo=off").unwrap();
        assert_eq!(purpose(all).as_deref(), Some("a b"));
        let all = of("aquifer.purpose", "reporting").unwrap();
        assert_eq!(purpose(all).as_deref(), Some("reporting"));
    }

    #[track_caller]
    fn check_refused(name: &str, value: &str, state: &str) {
        assert_eq!(of(name, value).unwrap_err().state, state);
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        check_refused("options", "-c aquifer.scale=0", "42704");
        check_refused("aquifer.rho_share", "2", "22023");
        check_refused("client_encoding", "LATIN1", "22023");
        assert!(of("client_encoding", "'utf-8'").is_ok());
    }

    #[test]
    fn clients_see_what_they_set_unless_it_is_fixed() {
        let mut options = of("application_name", "psql").unwrap();
        assert_eq!(options.shown("application_name"), "psql");
        let writes = Change::Client("transaction_read_only".into(), Some("off".into()));
        options.set(writes).unwrap();
        assert_eq!(options.shown("transaction_read_only"), "on");
        assert_eq!(options.shown("server_version"), SERVER_VERSION);
        assert_eq!(options.shown("aquifer.intervals"), "columns");
        let mut options = of("options", "-c aquifer.purpose=reporting").unwrap();
        for statement in [
            "SET aquifer.purpose = 'other'",
            "SET aquifer.request_id = 'x'",
        ] {
            let Some(sql::Statement::Set(change)) = sql::plain(statement).unwrap() else {
                panic!("{statement}");
            };
            options.set(change).unwrap();
        }
        options.set(Change::Purpose(None)).unwrap();
        assert_eq!(
            options.shown("aquifer.purpose"),
            "reporting",
            "the connection's own"
        );
        options.set(Change::ResetAll).unwrap();
        assert_eq!(options.shown("aquifer.purpose"), "reporting");
        assert_eq!(options.shown("aquifer.request_id"), "");
    }
}
