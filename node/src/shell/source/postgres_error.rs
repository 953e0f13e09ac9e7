//! What a PostgreSQL server or the way to it does wrong, in words that hold no value.
//!
//! A server's own texts quote values. Only before any row was read, and only for errors in the query's own text, are they passed on.

use sqlx::postgres::PgErrorPosition;

use super::tls_problem::{chain, tls_problem};
use crate::shell::source_error::TableProblem;

/// The query does not fit the server's tables.
pub(super) fn planning(error: &sqlx::Error, query: &str) -> TableProblem {
    let sqlx::Error::Database(database) = error else {
        return running(error);
    };
    let code = database.code().unwrap_or_default();
    // Syntax, unknown names, types that do not fit; not: rights.
    if !code.starts_with("42") || code == "42501" {
        return running(error);
    }
    let mut place = String::new();
    let server = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    if let Some(PgErrorPosition::Original(at)) = server.and_then(|server| server.position()) {
        let before: String = query.chars().take(at.saturating_sub(1)).collect();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        place = format!(", line {line}, column {column}");
    }
    TableProblem::new(format!("its query{place}: {}", database.message()))
}

/// Anything else: a text of ours.
pub(super) fn running(error: &sqlx::Error) -> TableProblem {
    let text = match error {
        sqlx::Error::Database(database) => refused(database.code().as_deref().unwrap_or_default()),
        _ => unreachable_server(error).to_owned(),
    };
    TableProblem::new(text)
}

fn refused(code: &str) -> String {
    let known = match code {
        "28P01" | "28000" => "the server refuses user or password",
        "3D000" => "the server has no such database",
        "42501" => "the user may not read what the query names (permission denied)",
        "57014" => "the server stopped the query: it ran longer than `timeout_seconds`",
        "25006" => "the query changes something, expected one that only reads",
        "53300" => "the server has no connection left",
        "57P01" | "57P02" | "57P03" => "the server is starting or stopping",
        "22012" => "the query divides by zero on the server",
        _ if code.starts_with("22") => {
            "a value cannot be converted as the query asks of the server"
        }
        _ if code.starts_with("53") => "the server lacks memory or disk for the query",
        _ if code.starts_with("42") => "the query does not fit the server's tables any more",
        _ => "",
    };
    match known {
        "" => {
            let code: String = code
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(5)
                .collect();
            format!("the server refuses with SQLSTATE {code}")
        }
        known => known.to_owned(),
    }
}

fn unreachable_server(error: &sqlx::Error) -> &'static str {
    if let Some(problem) = tls_problem(error) {
        return problem;
    }
    let io = chain(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    match (error, io.map(std::io::Error::kind)) {
        (sqlx::Error::Tls(inner), _) if inner.to_string() == "server does not support TLS" => {
            "the server has no TLS (`plain = true` does without, at a loopback address only)"
        }
        (sqlx::Error::Tls(_), _) => "TLS with the server failed (is `ca_file` a PEM file?)",
        (_, Some(std::io::ErrorKind::ConnectionRefused)) => {
            "nobody listens at the server's address"
        }
        (_, Some(std::io::ErrorKind::NotFound)) => "the server has no socket there",
        (_, Some(std::io::ErrorKind::PermissionDenied)) => "the server's socket may not be opened",
        (_, Some(_)) => "the connection to the server broke",
        (sqlx::Error::Configuration(_), _) => "the server cannot be asked like this",
        _ => "the server does not answer as PostgreSQL does",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn codes_become_words() {
        for (code, expected) in [
            ("28P01", "user or password"),
            ("57014", "timeout_seconds"),
            ("22P02", "converted"),
            ("XX'--", "SQLSTATE XX"),
        ] {
            assert!(refused(code).contains(expected), "{code}");
        }
    }

    #[track_caller]
    fn check_text(error: sqlx::Error, expected: &str) {
        let found = running(&error).to_string();
        assert!(
            found.contains(expected) && !found.contains("CANARY"),
            "{found}"
        );
    }

    #[test]
    fn the_way_to_the_server_is_told_without_its_words() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "CANARY");
        check_text(sqlx::Error::Io(refused), "nobody listens");
        check_text(sqlx::Error::Io(io::Error::other("CANARY")), "broke");
        check_text(
            sqlx::Error::Tls("server does not support TLS".into()),
            "no TLS",
        );
        let certificate = rustls::CertificateError::UnknownIssuer;
        let tls = rustls::Error::InvalidCertificate(certificate);
        check_text(sqlx::Error::Io(io::Error::other(tls)), "not trusted");
        check_text(
            sqlx::Error::Protocol("CANARY".to_owned()),
            "as PostgreSQL does",
        );
    }
}
