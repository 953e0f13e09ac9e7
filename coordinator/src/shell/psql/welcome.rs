//! From the first byte of a client to a session: TLS, who it is, and the proof of it.

use std::sync::Arc;

use bytes::Bytes;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use aquifer_shared::base::ids::{Name, Role};
use aquifer_shared::base::limits::SQL_GREETING_BYTES_MAX;
use aquifer_shared::shell::certificates::PeerCertificate;
use aquifer_shared::shell::keys::random_bytes32;

use super::Shared;
use super::line::{Line, LineFault, opening};
use super::reply::{self, fatal};
use super::session::{Called, Session};
use super::startup::Options;
use super::statements::check_purpose;
use crate::core::psql::frontend::{Frontend, Malformed, Opening, Proof, sasl_initial};
use crate::core::psql::scram::{Exchange, SCRAM, SCRAM_PLUS, Verifier};
use crate::shell::store::{Party, SqlPassword};

/// A client with TLS.
pub(super) type Stream = TlsStream<TcpStream>;

/// What an analyst came with, to be looked at again while the session lasts.
#[derive(Clone, Debug)]
pub(super) enum Pass {
    /// A certificate.
    Certificate(Box<PeerCertificate>),
    /// A password.
    Password(Box<SqlPassword>),
}

/// A client that may not come in: told so, in few words.
struct No {
    state: &'static str,
    text: String,
}

/// A session with a client that has proved who it is; none where it was told why not, or only wanted another's wait to end.
pub(super) async fn greet(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
) -> Result<Option<Session<Stream>>, LineFault> {
    stream.set_nodelay(true)?;
    if !wants_tls(shared, &mut stream).await? {
        return Ok(None);
    }
    let tls = shared.tls.borrow().clone();
    let mut stream = TlsAcceptor::from(tls.config).accept(stream).await?;
    let parameters = match opening(&mut stream).await? {
        Opening::Startup { minor, parameters } => (minor, parameters),
        Opening::Cancel { number, key } => {
            shared.cancels.cancel(number, key);
            return Ok(None);
        }
        Opening::Tls | Opening::Gss => return Err(Malformed.into()),
    };
    let certificate = stream.get_ref().1.peer_certificates();
    let certificate = certificate.and_then(|chain| chain.first()).cloned();
    let mut line = Line::new(stream);
    let (minor, parameters) = parameters;
    negotiate(&mut line, minor, &parameters)?;
    let user = parameters.iter().find(|(name, _)| name == "user");
    let user = user.map_or("", |(_, user)| user).to_owned();
    let admitted = match certificate {
        Some(certificate) => by_certificate(shared, &user, &certificate).await,
        None => by_password(shared, &user, &mut line, &tls.end_point.0).await?,
    };
    let opened = match admitted {
        Ok((party, pass)) => enter(shared, party, pass, &parameters).await,
        Err(no) => Err(no),
    };
    match opened {
        Ok(made) => open(line, made).await.map(Some),
        Err(no) => {
            tracing::info!(state = no.state, "a SQL client was not let in");
            line.put(fatal(no.state, &no.text))?;
            line.close().await?;
            Ok(None)
        }
    }
}

/// Reads what comes before TLS; false where nothing follows.
async fn wants_tls(shared: &Shared, stream: &mut TcpStream) -> Result<bool, LineFault> {
    for _ in 0..2 {
        match opening(stream).await? {
            Opening::Tls => {
                stream.write_all(b"S").await?;
                return Ok(true);
            }
            Opening::Gss => stream.write_all(b"N").await?,
            // Older clients have no other way; it ends a wait and nothing else.
            Opening::Cancel { number, key } => {
                shared.cancels.cancel(number, key);
                return Ok(false);
            }
            Opening::Startup { .. } => break,
        }
    }
    let mut plain = Line::new(stream);
    plain.put(fatal(
        "28000",
        "this server speaks over TLS only: connect with sslmode=verify-full",
    ))?;
    plain.close().await?;
    Ok(false)
}

/// Tells a client that asks for more than protocol 3.0 what it gets.
fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    minor: u16,
    parameters: &[(String, String)],
) -> Result<(), LineFault> {
    let names = parameters.iter().map(|(name, _)| name.clone());
    let unknown: Vec<String> = names.filter(|name| name.starts_with("_pq_.")).collect();
    if minor == 0 && unknown.is_empty() {
        return Ok(());
    }
    let version = NegotiateProtocolVersion::new(PROTOCOL_3_0, unknown);
    line.put(Message::NegotiateProtocolVersion(version))
}

/// A client that shows a certificate is whom the certificate names.
async fn by_certificate(
    shared: &Shared,
    user: &str,
    certificate: &CertificateDer<'_>,
) -> Result<(Party, Pass), No> {
    let refused = || no("28000", "the client's certificate is not welcome");
    let peer = PeerCertificate::parse(certificate).map_err(|_| refused())?;
    let party = shared.front.check(&peer).await.map_err(|_| refused())?;
    if party.name.as_str() != user {
        return Err(no(
            "28000",
            "the user is not the one whom the client's certificate names",
        ));
    }
    Ok((party, Pass::Certificate(Box::new(peer))))
}

/// Anybody else proves to know a password, without sending it.
async fn by_password<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    user: &str,
    line: &mut Line<S>,
    end_point: &[u8],
) -> Result<Result<(Party, Pass), No>, LineFault> {
    let wrong = || {
        no(
            "28P01",
            "the password does not fit the user, or it has expired",
        )
    };
    let known = known(shared, user).await;
    let verifier = match &known {
        Some((_, password)) => password.verifier.clone(),
        None => Verifier::decoy(user, &shared.decoys),
    };
    let offered = [SCRAM_PLUS, SCRAM].map(str::to_owned).to_vec();
    line.put(Message::Authentication(Authentication::SASL(offered)))?;
    let first = proof(line).await?;
    let (mechanism, first) = sasl_initial(&first.0)?;
    let Ok(random) = random_bytes32() else {
        return Ok(Err(no("58000", "there is no randomness")));
    };
    let mut nonce = [0; 18];
    nonce.copy_from_slice(&random[..18]);
    let exchange = match Exchange::begin(mechanism, first, verifier, end_point, nonce) {
        Ok(exchange) => exchange,
        Err(error) => return Ok(Err(no("28000", &error.to_string()))),
    };
    let challenge = Bytes::from(exchange.challenge().to_owned());
    line.put(Message::Authentication(Authentication::SASLContinue(
        challenge,
    )))?;
    let last = proof(line).await?;
    let own = match exchange.finish(&last.0) {
        Ok(own) => own,
        Err(_) => return Ok(Err(wrong())),
    };
    let last = Authentication::SASLFinal(Bytes::from(own));
    line.put(Message::Authentication(last))?;
    let pass = |(party, password)| (party, Pass::Password(Box::new(password)));
    Ok(known.map(pass).ok_or_else(wrong))
}

/// The next part of a client's proof.
async fn proof<S: AsyncRead + AsyncWrite + Unpin>(line: &mut Line<S>) -> Result<Proof, LineFault> {
    line.flush().await?;
    match line.next(SQL_GREETING_BYTES_MAX).await? {
        Some(Frontend::Proof(proof)) => Ok(proof),
        _ => Err(Malformed.into()),
    }
}

/// A registered party with a password that is good now.
async fn known(shared: &Shared, user: &str) -> Option<(Party, SqlPassword)> {
    let name: Name = user.parse().ok()?;
    let password = shared.front.store.password(&name).await;
    let password = password.inspect_err(|error| tracing::error!(%error, "a password was not read"));
    let party = shared.front.registry.named(&name).await?;
    let password = password.ok()??;
    let good =
        password.identity == party.identity && password.expires > shared.front.platform.now();
    good.then_some((party, password))
}

impl Shared {
    /// The party behind a pass, if it is still good.
    pub(super) async fn still(&self, pass: &Pass) -> Option<Party> {
        match pass {
            Pass::Certificate(peer) => self.front.check(peer).await.ok(),
            Pass::Password(before) => {
                let (party, password) = known(self, before.name.as_str()).await?;
                (password == **before).then_some(party)
            }
        }
    }
}

/// What a session is made of, but for its line.
struct Made {
    options: Options,
    party: Party,
    pass: Pass,
    called: Called,
}

/// Gives a party that has proved who it is a place.
async fn enter(
    shared: &Arc<Shared>,
    party: Party,
    pass: Pass,
    parameters: &[(String, String)],
) -> Result<Made, No> {
    if party.role != Role::Analyst {
        return Err(no(
            "42501",
            "questions are asked by people with the role analyst",
        ));
    }
    let options = Options::of(parameters).map_err(|refusal| No {
        state: refusal.state,
        text: format!("{} ({})", refusal.message, refusal.hint),
    })?;
    if let Some(purpose) = &options.own.purpose {
        let known = check_purpose(purpose, &shared.front.open().await);
        known.map_err(|objection| No {
            text: format!("{} ({})", objection.message, objection.hint),
            state: "QP004",
        })?;
    }
    let many = || {
        no(
            "53300",
            "there are too many connections: close some, or try again later",
        )
    };
    let place = shared.place(&party.name).ok_or_else(many)?;
    let called = Called::new(place, Arc::new(Notify::new()));
    let called = called.ok_or_else(|| no("58000", "there is no randomness"))?;
    Ok(Made {
        options,
        party,
        pass,
        called,
    })
}

/// Tells the client that it is in, and what it speaks with.
async fn open(mut line: Line<Stream>, made: Made) -> Result<Session<Stream>, LineFault> {
    line.put(Message::Authentication(Authentication::Ok))?;
    for (name, value) in made.options.statuses(made.party.name.as_str()) {
        line.put(Message::ParameterStatus(ParameterStatus::new(name, value)))?;
    }
    let (number, key) = (made.called.number, SecretKey::I32(made.called.key));
    line.put(Message::BackendKeyData(BackendKeyData::new(number, key)))?;
    line.put(reply::ready(None))?;
    line.flush().await?;
    tracing::info!(party = %made.party.name, "a SQL client is connected");
    Ok(Session::new(
        line,
        made.options,
        made.party,
        made.pass,
        made.called,
    ))
}

fn no(state: &'static str, text: &str) -> No {
    No {
        state,
        text: text.to_owned(),
    }
}

const PROTOCOL_3_0: i32 = 196_608;
