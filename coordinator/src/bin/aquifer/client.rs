//! Questions to the coordinator: connects with the directory's identity, asks, renews the certificate in time.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::protocol::wire::{Message, read_body};
use aquifer_shared::shell::directory::IdentityDirectory;
use aquifer_shared::shell::link::LinkError;
use aquifer_shared::shell::quic::{Link, receive_frame, receive_within, send};
use aquifer_shared::shell::report::{self, Outcome};
use quinn::RecvStream;

use crate::args::Arguments;

/// What every command has: where the identity is, and how to print.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    dir: Option<PathBuf>,
    /// Print JSON.
    pub(crate) json: bool,
}

impl Session {
    /// From the global arguments.
    pub(crate) fn new(arguments: &Arguments) -> Self {
        Self {
            dir: arguments.dir.clone(),
            json: arguments.json,
        }
    }

    /// The identity's directory.
    pub(crate) fn dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.dir {
            return Ok(dir.clone());
        }
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let home = home.context("there is no home directory; name a directory with --dir")?;
        Ok(home.join(".aquifer"))
    }

    /// The identity.
    pub(crate) fn identity(&self) -> anyhow::Result<IdentityDirectory> {
        Ok(IdentityDirectory::load(&self.dir()?)?)
    }

    /// Connects to the coordinator.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let mut directory = self.identity()?;
        let link = directory.connect(directory.client_config()?).await;
        let link = link.with_context(|| unreachable(&directory))?;
        renew_in_time(&link, &mut directory).await;
        Ok(Client { link, directory })
    }

    /// Connects, asks one question, and closes the connection.
    pub(crate) async fn ask(&self, request: Request) -> anyhow::Result<Response> {
        let client = self.connect().await?;
        let response = client.ask(request).await;
        client.close().await;
        response
    }
}

/// A connection to the coordinator.
#[derive(Debug)]
pub(crate) struct Client {
    link: Link,
    /// Whose connection it is.
    pub(crate) directory: IdentityDirectory,
}

impl Client {
    /// One question, one answer.
    pub(crate) async fn ask(&self, request: Request) -> anyhow::Result<Response> {
        ask(&self.link, &request)
            .await
            .with_context(|| unreachable(&self.directory))
    }

    /// One question, several answers.
    pub(crate) async fn follow(&self, request: Request) -> anyhow::Result<Answers> {
        let asked = open(&self.link, &request).await;
        let stream = asked.with_context(|| unreachable(&self.directory))?;
        Ok(Answers { stream })
    }

    /// Tells the coordinator that all was said.
    pub(crate) async fn close(self) {
        self.link.close().await;
    }
}

/// Answers that come one after the other.
#[derive(Debug)]
pub(crate) struct Answers {
    stream: RecvStream,
}

impl Answers {
    /// The next answer, however long it takes; none after the last.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Response>> {
        let frame = receive_frame(&mut self.stream, Response::BYTES_MAX).await?;
        let Some((kind, body)) = frame else {
            return Ok(None);
        };
        Ok(Some(read_body(kind, &body)?))
    }
}

/// Prints why the coordinator refuses; a failure where the answer is of a kind that does not belong here.
pub(crate) fn not_expected(response: Response, json: bool) -> anyhow::Result<Outcome> {
    let Response::Refused { code, message } = response else {
        bail!("the coordinator sent another answer than asked for; the versions may not fit");
    };
    if json {
        let refusal = serde_json::json!({"refused": {"code": code, "message": message}});
        report::print_json(&refusal)?;
    }
    let shown = format!("{message} [{code}]");
    Ok(report::refused(&report::printable(&shown)))
}

/// The clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn open(link: &Link, request: &Request) -> anyhow::Result<RecvStream> {
    let streams = link.connection.open_bi().await;
    let (mut sending, receiving) = streams.map_err(LinkError::from)?;
    send(&mut sending, request).await?;
    sending.finish()?;
    Ok(receiving)
}

async fn ask(link: &Link, request: &Request) -> anyhow::Result<Response> {
    let mut stream = open(link, request).await?;
    Ok(receive_within(&mut stream, ANSWER_TIMEOUT).await?)
}

/// A person's certificate is renewed by use. A renewal that fails is told and tried again next time.
async fn renew_in_time(link: &Link, directory: &mut IdentityDirectory) {
    if !directory.certificate().wants_renewal(now()) {
        return;
    }
    if let Err(error) = renew(link, directory).await {
        let reason = report::chain(&error);
        report::note(&format!(
            "warning: the certificate was not renewed: {reason}"
        ));
    }
}

async fn renew(link: &Link, directory: &mut IdentityDirectory) -> anyhow::Result<()> {
    let csr = directory.renewal_request()?;
    match ask(link, &Request::Renew { csr }).await? {
        Response::Certificate(der) => Ok(directory.store_renewed(&der)?),
        Response::Refused { message, .. } => bail!("{}", report::printable(&message)),
        _ => bail!("the coordinator sent something else than a certificate"),
    }
}

fn unreachable(directory: &IdentityDirectory) -> String {
    format!(
        "could not ask the coordinator at {}",
        directory.coordinator().address
    )
}

/// How long the coordinator may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
