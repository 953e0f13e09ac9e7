//! Settings of a session: purpose, price, and how answers are shown; and the settings that ordinary clients make.

use super::refusal::{Refusal, Rule};
use super::statement::Setting;
use aquifer_shared::base::limits::NAME_BYTES_MAX;

/// What a session has set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Why the data may be used.
    pub purpose: Option<String>,
    /// Part of the analyst's remaining share that one statement may cost, above 0 and at most 1.
    pub rho_share: Option<f64>,
    /// Repeating it with the same plan gives the same release.
    pub request_id: Option<String>,
    /// How intervals are shown.
    pub intervals: Intervals,
    /// Whether a stored answer will do, or must do.
    pub cache: CacheUse,
    /// Whether counts below zero are shown as they are.
    pub negative_counts: bool,
}

/// How intervals are shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Intervals {
    /// Two columns beside each aggregate.
    #[default]
    Columns,
    /// One JSON column for each aggregate instead of its value.
    Json,
    /// Not at all.
    Off,
}

/// What stored answers are good for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CacheUse {
    /// They are returned where there is one.
    #[default]
    Use,
    /// Nothing else is returned.
    Only,
}

/// A change that [`Settings::apply`] carries out.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Everything to its usual value.
    ResetAll,
    /// `aquifer.purpose`.
    Purpose(Option<String>),
    /// `aquifer.rho_share`.
    RhoShare(Option<f64>),
    /// `aquifer.request_id`.
    RequestId(Option<String>),
    /// `aquifer.intervals`.
    Intervals(Intervals),
    /// `aquifer.cache`.
    Cache(CacheUse),
    /// `aquifer.negative_counts`.
    NegativeCounts(bool),
    /// A setting of the client's own, which changes nothing here: name and value, none for the usual one.
    Client(String, Option<String>),
}

impl Settings {
    /// Carries out a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::ResetAll => *self = Self::default(),
            Change::Purpose(purpose) => self.purpose = purpose,
            Change::RhoShare(share) => self.rho_share = share,
            Change::RequestId(id) => self.request_id = id,
            Change::Intervals(intervals) => self.intervals = intervals,
            Change::Cache(cache) => self.cache = cache,
            Change::NegativeCounts(shown) => self.negative_counts = shown,
            Change::Client(..) => {}
        }
    }

    /// What `SHOW` says; none for settings of the client's own.
    #[must_use]
    pub fn shown(&self, name: &str) -> Option<String> {
        let text = |text: &Option<String>| Some(text.clone().unwrap_or_default());
        match name {
            "aquifer.purpose" => text(&self.purpose),
            "aquifer.rho_share" => Some(self.rho_share.map_or(String::new(), |s| s.to_string())),
            "aquifer.request_id" => text(&self.request_id),
            "aquifer.intervals" => Some(self.intervals.name().to_owned()),
            "aquifer.cache" => Some(self.cache.name().to_owned()),
            "aquifer.negative_counts" => {
                Some(if self.negative_counts { "on" } else { "off" }.to_owned())
            }
            _ => None,
        }
    }
}

impl Intervals {
    fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Json => "json",
            Self::Off => "off",
        }
    }
}

impl CacheUse {
    fn name(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Only => "only",
        }
    }
}

/// Every setting of our own.
pub const OWN: [&str; 6] = [
    "aquifer.purpose",
    "aquifer.rho_share",
    "aquifer.request_id",
    "aquifer.intervals",
    "aquifer.cache",
    "aquifer.negative_counts",
];

/// Settings that clients make and that change nothing here.
pub const CLIENT: [&str; 22] = [
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "geqo",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "jit",
    "lock_timeout",
    "max_identifier_length",
    "row_security",
    "search_path",
    "server_version",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
    "transaction_isolation",
    "transaction_read_only",
];

/// The change of a setting that comes by name and value, outside of any statement.
///
/// # Errors
///
/// There is no such setting, or its value is out of range.
pub fn set(name: &str, value: &str) -> Result<Change, Refusal> {
    let changed = change(Setting {
        name: name.to_ascii_lowercase(),
        name_position: 1,
        value: Some(value.to_owned()),
        position: 1,
    });
    changed.map_err(|refusal| Refusal {
        position: None,
        ..refusal
    })
}

/// The change that a statement asks for.
pub(super) fn change(setting: Setting) -> Result<Change, Refusal> {
    let Setting {
        name,
        name_position,
        value,
        position,
    } = setting;
    let wrong = |expected: &str| {
        let found: String = value
            .iter()
            .flat_map(|text| text.chars())
            .take(80)
            .collect();
        let message = format!("the value {found:?} of {name} is out of range");
        Err(Refusal::at(
            position,
            "22023",
            Rule::Settings,
            message,
            format!("set it to {expected}"),
        ))
    };
    let Some(value) = value.clone() else {
        return usual(&name, name_position);
    };
    match name.as_str() {
        "aquifer.purpose" if is_plain(&value) => Ok(Change::Purpose(Some(value))),
        "aquifer.request_id" if is_plain(&value) => Ok(Change::RequestId(Some(value))),
        "aquifer.purpose" | "aquifer.request_id" => wrong("a plain text of at most 128 bytes"),
        "aquifer.rho_share" => match value.parse::<f64>() {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(Change::RhoShare(Some(share))),
            _ => wrong("a number above 0 and at most 1"),
        },
        "aquifer.intervals" => match value.as_str() {
            "columns" => Ok(Change::Intervals(Intervals::Columns)),
            "json" => Ok(Change::Intervals(Intervals::Json)),
            "off" => Ok(Change::Intervals(Intervals::Off)),
            _ => wrong("'columns', 'json' or 'off'"),
        },
        "aquifer.cache" => match value.as_str() {
            "use" => Ok(Change::Cache(CacheUse::Use)),
            "only" => Ok(Change::Cache(CacheUse::Only)),
            _ => wrong("'use' or 'only'"),
        },
        "aquifer.negative_counts" => match value.to_ascii_lowercase().as_str() {
            "on" | "true" => Ok(Change::NegativeCounts(true)),
            "off" | "false" => Ok(Change::NegativeCounts(false)),
            _ => wrong("'on' or 'off'"),
        },
        _ if CLIENT.contains(&name.as_str()) && is_plain(&value) => {
            Ok(Change::Client(name, Some(value)))
        }
        _ if CLIENT.contains(&name.as_str()) => wrong("a plain text of at most 128 bytes"),
        _ => Err(unknown(&name, name_position)),
    }
}

fn usual(name: &str, position: usize) -> Result<Change, Refusal> {
    Ok(match name {
        "all" => Change::ResetAll,
        "aquifer.purpose" => Change::Purpose(None),
        "aquifer.request_id" => Change::RequestId(None),
        "aquifer.rho_share" => Change::RhoShare(None),
        "aquifer.intervals" => Change::Intervals(Intervals::default()),
        "aquifer.cache" => Change::Cache(CacheUse::default()),
        "aquifer.negative_counts" => Change::NegativeCounts(false),
        _ if CLIENT.contains(&name) => Change::Client(name.to_owned(), None),
        _ => return Err(unknown(name, position)),
    })
}

/// The refusal of a setting that does not exist.
pub(super) fn unknown(name: &str, position: usize) -> Refusal {
    let known: Vec<&str> = OWN.iter().chain(&CLIENT).copied().collect();
    let name: String = name.chars().take(80).collect();
    let nearest = super::names::nearest(&name, &known);
    Refusal::at(
        position,
        "42704",
        Rule::Settings,
        format!("there is no setting {name:?}"),
        format!("perhaps {nearest}"),
    )
}

/// Checks a request id that comes beside a statement.
///
/// # Errors
///
/// What no session could set either.
pub fn check_request_id(id: &str) -> Result<(), Refusal> {
    is_plain(id).then_some(()).ok_or_else(|| {
        Refusal::of_all(
            "22023",
            Rule::Settings,
            "the request id is empty, too long or no plain text",
            "set it to a plain text of at most 128 bytes",
        )
    })
}

fn is_plain(value: &str) -> bool {
    let length = (1..=NAME_BYTES_MAX).contains(&value.len());
    length && !value.chars().any(char::is_control)
}
