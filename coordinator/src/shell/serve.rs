//! The running coordinator: both endpoints, the hub, and a clean end.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use aquifer_shared::base::hash::labelled;
use aquifer_shared::protocol::wire::CloseReason;
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::quic::{CLOSE_DONE, join_endpoint, lasting_endpoint};
use aquifer_shared::shell::report::Outcome;
use aquifer_shared::shell::tls::SqlTls;
use quinn::Endpoint;
use rustls::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::chronicle::Chronicle;
use super::clock::now;
use super::doorstep::Doorstep;
use super::front::{COMMANDS_MAX, CONNECTIONS_MAX, Command, Front};
use super::home::Home;
use super::https::HttpsDoor;
use super::hub::Hub;
use super::joining::{Desk, serve_join};
use super::lawful::Law;
use super::mirror::{COPIES_MAX, keep};
use super::psql::SqlDoor;
use super::registry::Registry;
use super::server_certificate::{DoorTls, ServerTls, keep_valid};
use super::session::serve_connection;
use super::witnesses::{NEWS_MAX, WitnessNews, show};

/// Serves until SIGTERM or SIGINT; with `json` the addresses are printed as one JSON line once both endpoints are open.
///
/// # Errors
///
/// `PolicyFault`: two officers have not signed what changed. A store, certificate or address that cannot be used.
pub async fn serve(home: Home, break_glass: Option<&str>, json: bool) -> anyhow::Result<Outcome> {
    let store = home.store().await?;
    let history = home.history().await?;
    let (gates, term) = home.in_force(home.gates()?, &history, break_glass).await?;
    let registry = Registry::load(store.clone()).await?;
    let (commands, queue) = mpsc::channel(COMMANDS_MAX);
    let (copies, copied) = mpsc::channel(COPIES_MAX);
    let authority = home.authority.clone();
    let days = home.config.certificate_days.get();
    let declared = home.declared(&gates, now())?;
    let front = Front::new(
        registry,
        store.clone(),
        authority,
        days,
        commands.clone(),
        copies,
    );
    let law = Law::told(gates, history.clone()).await?;
    let front = Arc::new(front.under(law).demanding(home.config.demanded()));
    let shown = attach(&front, &history);
    let hub = Hub::load(front.clone(), store.clone(), home.release.clone()).await?;
    hub.declare(declared).await?;
    hub.catch_up().await?;
    let server_name = home.config.server_name.as_str();
    let tls = ServerTls::fresh(&front.authority, server_name, now())?;
    let memory = labelled(RESTARTS, &[front.authority.key_pem().as_bytes()]);
    let main = lasting_endpoint(&*front.platform, home.config.listen, tls.main, &memory)?;
    let join = join_endpoint(home.config.listen_join, tls.join)?;
    let desk = Desk {
        store: store.clone(),
        authority: front.authority.clone(),
        certificate_days: days,
    };
    let (sql_tls, sql_tls_now) = watch::channel(tls.sql);
    let (https_tls, https_tls_now) = watch::channel(tls.https);
    let doors = Doors::open(&home, &front, sql_tls_now, https_tls_now).await?;
    announce(&main, &join, doors.addresses(), json)?;
    let answering = doors.serve();
    let joining = tokio::spawn(serve_join(join.clone(), desk));
    let renewing = keep_valid(
        front.authority.clone(),
        server_name.to_owned(),
        main.clone(),
        join.clone(),
        DoorTls {
            sql: sql_tls,
            https: https_tls,
        },
    );
    let renewing = tokio::spawn(renewing);
    let accepting = tokio::spawn(accept(main.clone(), front.clone()));
    let mirroring = tokio::spawn(keep(store.clone(), copied));
    let showing = tokio::spawn(show(history.clone(), shown));
    tokio::spawn(stop_on_signal(commands)?);
    let ended = hub.run_within((term, history.clone()), queue).await;
    accepting.abort();
    answering.iter().for_each(JoinHandle::abort);
    renewing.abort();
    joining.abort();
    mirroring.abort();
    showing.abort();
    front.close_all(CloseReason::Shutdown);
    main.close(CLOSE_DONE, b"");
    join.close(CLOSE_DONE, b"");
    main.wait_idle().await;
    store.close().await;
    history.close().await;
    ended.map(|()| Outcome::Done)
}

/// From here on the history is told; what nodes say about it comes out here.
fn attach(front: &Front, history: &History) -> mpsc::Receiver<WitnessNews> {
    let (witnesses, shown) = mpsc::channel(NEWS_MAX);
    front.attach(Chronicle {
        history: history.clone(),
        witnesses,
    });
    shown
}

/// Doors on TCP, each where the configuration says.
struct Doors {
    sql: Option<SqlDoor>,
    https: Option<HttpsDoor>,
}

impl Doors {
    async fn open(
        home: &Home,
        front: &Arc<Front>,
        sql_tls: watch::Receiver<SqlTls>,
        https_tls: watch::Receiver<Arc<ServerConfig>>,
    ) -> anyhow::Result<Self> {
        let sql = match home.config.listen_sql {
            Some(address) => Some(SqlDoor::open(address, front.clone(), sql_tls).await?),
            None => None,
        };
        let https = match home.config.listen_https {
            Some(address) => Some(HttpsDoor::open(address, front.clone(), https_tls).await?),
            None => None,
        };
        Ok(Self { sql, https })
    }

    /// Where they listen.
    fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let https = self.https.as_ref().map(HttpsDoor::address);
        (self.sql.as_ref().map(SqlDoor::address), https)
    }

    fn serve(self) -> Vec<JoinHandle<()>> {
        let sql = self.sql.map(|door| tokio::spawn(door.serve()));
        let https = self.https.map(|door| tokio::spawn(door.serve()));
        sql.into_iter().chain(https).collect()
    }
}

fn announce(
    main: &Endpoint,
    join: &Endpoint,
    (sql, https): (Option<SocketAddr>, Option<SocketAddr>),
    json: bool,
) -> anyhow::Result<()> {
    let (main, join) = (main.local_addr()?, join.local_addr()?);
    let text = |address: SocketAddr| address.to_string();
    let (sql, https) = (sql.map(text), https.map(text));
    match json {
        true => println!(
            "{}",
            serde_json::json!({ "listening": main.to_string(), "join": join.to_string(), "sql": sql, "https": https })
        ),
        false => println!("listening on {main} for nodes and people, on {join} for tickets"),
    }
    if let Some(sql) = sql.filter(|_| !json) {
        println!("listening on {sql} for SQL clients");
    }
    if let Some(https) = https.filter(|_| !json) {
        println!("listening on {https} for HTTPS clients");
    }
    Ok(())
}

/// Serves all who connect, each in a task of its own.
pub async fn accept(endpoint: Endpoint, front: Arc<Front>) {
    let doorstep = Doorstep::new(CONNECTIONS_MAX);
    while let Some(incoming) = endpoint.accept().await {
        let Some((incoming, place)) = doorstep.admit(incoming) else {
            continue;
        };
        let front = front.clone();
        tokio::spawn(async move {
            serve_connection(front, incoming).await;
            drop(place);
        });
    }
}

fn stop_on_signal(commands: mpsc::Sender<Command>) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("could not watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not watch for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = commands.send(Command::Stop).await;
    })
}

/// Label of what connections are remembered by, from one run to the next; made of a secret that outlasts them.
const RESTARTS: &str = "aquifer/restarts/1";
