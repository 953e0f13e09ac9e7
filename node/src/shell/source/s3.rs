//! Opens an S3-compatible store: over TLS, with credentials from a file or the environment, and never anybody else's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::limits::{
    SOURCE_CONNECT_MS_MAX, SOURCE_RETRIES_MAX, SOURCE_SILENCE_MS_MAX,
};
use aquifer_shared::shell::keys::read_private;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::config::S3Config;
use super::s3_guard::Guard;
use crate::shell::source_error::TableProblem;

/// Key, secret, and the token of temporary ones.
struct Credentials {
    key: Zeroizing<String>,
    secret: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
}

/// The bucket as the query engine sees it. Asks nothing of the store yet, but looks up its host.
pub(super) async fn open(
    config: &S3Config,
    directory: &Path,
) -> Result<Arc<dyn ObjectStore>, TableProblem> {
    let credentials = match &config.credentials_file {
        Some(file) => from_file(&directory.join(file))?,
        None => from_environment(|name| std::env::var(name).ok())?,
    };
    let (host, port) = config.host().ok_or_else(|| no_store("it has no host"))?;
    if tokio::net::lookup_host((host.as_str(), port))
        .await
        .is_err()
    {
        return Err(no_store(&format!("there is no host {host:?}")));
    }
    let bucket = config.bucket_and_key().map_or("", |parts| parts.0);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&config.region)
        .with_access_key_id(credentials.key.as_str())
        .with_secret_access_key(credentials.secret.as_str())
        .with_allow_http(config.allow_http)
        .with_retry(retries())
        .with_http_connector(Guard(client(config, directory)?));
    if let Some(token) = &credentials.token {
        builder = builder.with_token(token.as_str());
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    let store = builder.build();
    let store = store.map_err(|_| no_store("bucket, region or endpoint do not fit together"))?;
    Ok(Arc::new(store))
}

fn no_store(problem: &str) -> TableProblem {
    TableProblem::new(format!("the store cannot be reached: {problem}"))
}

fn from_file(path: &Path) -> Result<Credentials, TableProblem> {
    let bytes = read_private(path).map_err(|fault| TableProblem::of(&fault))?;
    let wrong = |problem| TableProblem::new(format!("credentials file {path:?}: {problem}"));
    let text = str::from_utf8(&bytes);
    let text =
        text.map_err(|_| wrong("it is not text, expected a section with lines NAME = VALUE"))?;
    parsed(text).map_err(wrong)
}

/// One section of the file that AWS's own tools write.
fn parsed(text: &str) -> Result<Credentials, &'static str> {
    let (mut key, mut secret, mut token) = (None, None, None);
    let mut sections = 0;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            sections += 1;
            continue;
        }
        let (name, value) = line.split_once('=').ok_or("a line is not `name = value`")?;
        let slot = match name.trim() {
            "aws_access_key_id" => &mut key,
            "aws_secret_access_key" => &mut secret,
            "aws_session_token" => &mut token,
            _ => {
                return Err(
                    "expected aws_access_key_id, aws_secret_access_key, aws_session_token only",
                );
            }
        };
        let before = slot.replace(Zeroizing::new(value.trim().to_owned()));
        if before.is_some() || sections > 1 {
            return Err("expected one key and one secret (one section)");
        }
    }
    let (Some(key), Some(secret)) = (key, secret) else {
        return Err("expected aws_access_key_id and aws_secret_access_key");
    };
    Ok(Credentials { key, secret, token })
}

fn from_environment(read: impl Fn(&str) -> Option<String>) -> Result<Credentials, TableProblem> {
    let read = |name| {
        read(name)
            .filter(|value| !value.is_empty())
            .map(Zeroizing::new)
    };
    let (key, secret) = (read("AWS_ACCESS_KEY_ID"), read("AWS_SECRET_ACCESS_KEY"));
    let (Some(key), Some(secret)) = (key, secret) else {
        return Err(TableProblem::new(
            "the environment lacks AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY".to_owned(),
        ));
    };
    let token = read("AWS_SESSION_TOKEN");
    Ok(Credentials { key, secret, token })
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: SOURCE_RETRIES_MAX,
        retry_timeout: Duration::from_millis(SOURCE_SILENCE_MS_MAX),
    }
}

/// Follows no redirect and uses no proxy: what a request is signed for is where it goes.
fn client(config: &S3Config, directory: &Path) -> Result<reqwest::Client, TableProblem> {
    let failed = |_| TableProblem::new("the client for object stores did not start".to_owned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TableProblem::new("TLS did not start".to_owned()))?
        .with_root_certificates(roots(config, directory)?)
        .with_no_client_auth();
    reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .https_only(!config.allow_http)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_millis(SOURCE_CONNECT_MS_MAX))
        .read_timeout(Duration::from_millis(SOURCE_SILENCE_MS_MAX))
        .build()
        .map_err(failed)
}

fn roots(config: &S3Config, directory: &Path) -> Result<RootCertStore, TableProblem> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &config.ca_file else {
        // Some of the system's may be of a kind that is not understood; the others count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let path = directory.join(file);
    let wrong = |problem: &str| TableProblem::new(format!("ca_file {path:?}: {problem}"));
    let pem = std::fs::read(&path).map_err(|error| wrong(&error.kind().to_string()))?;
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&pem)) {
        let added = certificate.ok().and_then(|found| roots.add(found).ok());
        added.ok_or_else(|| {
            wrong(&format!(
                "number {number} in it is no certificate in PEM form, expected nothing else"
            ))
        })?;
    }
    match roots.is_empty() {
        true => Err(wrong(&format!(
            "its {} bytes hold no certificate in PEM form, expected one at least (-----BEGIN CERTIFICATE-----)",
            pem.len()
        ))),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_parsed(text: &str, expected: Result<(&str, &str, Option<&str>), &str>) {
        let found = parsed(text);
        let found = found.as_ref().map(|found| {
            let token = found.token.as_ref().map(|token| token.as_str());
            (found.key.as_str(), found.secret.as_str(), token)
        });
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected)),
            Err(expected) => assert!(found.is_err_and(|problem| problem.contains(expected))),
        }
    }

    #[test]
    fn the_file_of_awss_own_tools_is_read() {
        let pair = "aws_access_key_id = AK\naws_secret_access_key=s=/+\n";
        check_parsed(pair, Ok(("AK", "s=/+", None)));
        check_parsed(
            &format!("# c\n[default]\n{pair}\naws_session_token = t"),
            Ok(("AK", "s=/+", Some("t"))),
        );
        check_parsed(&format!("[a]\n{pair}[b]\n{pair}"), Err("one section"));
        check_parsed(
            "aws_access_key_id = AK",
            Err("expected aws_access_key_id and"),
        );
        check_parsed(&format!("{pair}role_arn = x"), Err("only"));
        check_parsed("SECRET", Err("`name = value`"));
    }

    #[test]
    fn the_environment_gives_both_or_nothing() {
        let both = |name: &str| (name != "AWS_SESSION_TOKEN").then(|| name.to_lowercase());
        let found = from_environment(both).map_err(|problem| problem.to_string());
        let found = found.map(|found| (found.key.to_string(), found.token.is_none()));
        assert_eq!(found, Ok(("aws_access_key_id".to_owned(), true)));
        assert!(from_environment(|_| Some(String::new())).is_err());
    }
}
