//! An S3 server of the test's own (moto), which checks credentials, with over and without TLS.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_tests::processes::{Process, Watcher, run, wait_for};
use tempfile::TempDir;

use super::certificates::{Certificates, certificates_for};
use super::unit::Unit;

/// How long the server may take to start, in milliseconds.
const START_MS: u64 = 60_000;

/// The server ends before its folder goes.
pub struct Store {
    _server: Process,
    _watcher: Watcher,
    _folder: TempDir,
    pub endpoint: String,
    pub certificates: Certificates,
    /// The key that may read the bucket, and its secret.
    pub key: String,
    pub secret: String,
}

/// Makes a user that may use S3, a bucket, and an object for each file below a folder; prints the user's key.
const FILL: &str = r#"
import boto3, os, sys
endpoint, folder = sys.argv[1:]
known = dict(endpoint_url=endpoint, region_name="us-east-1")
nobody = dict(aws_access_key_id="x", aws_secret_access_key="x")
iam = boto3.client("iam", **known, **nobody)
iam.create_user(UserName="reader")
policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=policy)
key = iam.create_access_key(UserName="reader")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
s3 = boto3.client("s3", **known, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
s3.create_bucket(Bucket="customers")
for top, _, names in os.walk(folder):
    for name in names:
        path = os.path.join(top, name)
        s3.upload_file(path, "customers", os.path.relpath(path, folder))
"#;

impl Store {
    /// With the files below a folder as objects of the bucket `customers`; None where moto is missing, which is a failure in CI.
    pub fn start(files: &Path, tls: bool) -> Option<Self> {
        let tools = tools();
        if !tools.join("moto_server").exists() {
            println!("SKIPPED: no moto_server in {}", tools.display());
            assert!(std::env::var_os("CI").is_none(), "moto is needed in CI");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let certificates = certificates_for("localhost", folder.path());
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut server = Command::new(tools.join("moto_server"));
        server.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        if tls {
            server.arg("-s").arg("-c").arg(&certificates.certificate);
            server.arg("-k").arg(&certificates.key);
        }
        // What comes after the first three requests needs credentials.
        server.env("INITIAL_NO_AUTH_ACTION_COUNT", "3");
        let watcher = Watcher::new();
        let server = watcher
            .start("moto", &mut server, &folder.path().join("log"))
            .unwrap();
        wait_for("the store", START_MS, || {
            Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok())
        })
        .unwrap();
        let endpoint = format!("{}://localhost:{port}", if tls { "https" } else { "http" });
        let mut fill = Command::new(tools.join("python"));
        fill.args(["-c", FILL, &endpoint]).arg(files);
        fill.env("AWS_CA_BUNDLE", &certificates.authority);
        let printed = run(&mut fill).unwrap().success().unwrap();
        let (key, secret) = printed.trim().split_once(' ').unwrap();
        Some(Self {
            _server: server,
            _watcher: watcher,
            _folder: folder,
            endpoint,
            certificates,
            key: key.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// The table of an object or prefix, in TOML, with this in place of its parts.
    pub fn table(&self, key: &str) -> String {
        let url = format!("s3://customers/{key}");
        let way = match self.endpoint.starts_with("https") {
            true => format!("ca_file = {:?}", self.certificates.authority),
            false => "allow_http = true".to_owned(),
        };
        format!(
            "customers.s3 = {{ url = {url:?}, endpoint = {:?}, region = \"us-east-1\", credentials_file = \"credentials\", {way} }}",
            self.endpoint
        )
    }

    /// A unit whose table is there.
    pub fn unit(&self, key: &str) -> Unit {
        self.unit_on(&self.table(key))
    }

    pub fn unit_on(&self, table: &str) -> Unit {
        let (key, secret) = (&self.key, &self.secret);
        let file =
            format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
        Unit::with(table).secret("credentials", &file)
    }
}

fn tools() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("target/tools/bin")
}

/// Writes files below a folder.
pub fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}
