//! The door for SQL clients: PostgreSQL's wire protocol over TLS 1.3. Statements go the same way as those of `aquifer query`.
//!
//! A connection without TLS is closed before anybody has said who they are. Whoever has a place holds it for a bounded time only,
//! unless it is an analyst.

mod cancels;
mod catalogue;
mod extended;
mod kept;
mod line;
mod reply;
mod session;
mod startup;
mod statements;
mod welcome;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use aquifer_shared::base::ids::Name;
use aquifer_shared::base::limits::{
    SQL_CONNECTIONS_MAX, SQL_CONNECTIONS_PER_PARTY_MAX, SQL_GREETINGS_MAX,
    SQL_GREETINGS_PER_ADDRESS_MAX,
};
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::platform::within;
use aquifer_shared::shell::tls::SqlTls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use self::cancels::Cancels;
use super::catalogue::Catalogue;
use super::front::Front;
use super::strangers::{self, Strangers};

/// The open door.
pub struct SqlDoor {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections of SQL clients share.
struct Shared {
    front: Arc<Front>,
    catalogue: Arc<Catalogue>,
    tls: watch::Receiver<SqlTls>,
    cancels: Cancels,
    /// What names without a password are answered with is made of this.
    decoys: [u8; 32],
    /// Those who have not said who they are.
    strangers: Arc<Strangers>,
    sessions: Arc<Semaphore>,
    guests: Mutex<HashMap<Name, usize>>,
}

/// The place of an analyst's connection; free again when dropped.
struct Place {
    shared: Arc<Shared>,
    name: Name,
    _session: OwnedSemaphorePermit,
}

impl SqlDoor {
    /// Listens.
    ///
    /// # Errors
    ///
    /// The address cannot be used, or there is no randomness.
    pub async fn open(
        address: SocketAddr,
        front: Arc<Front>,
        tls: watch::Receiver<SqlTls>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("could not listen on {address} (TCP)"))?;
        let shared = Shared {
            catalogue: Arc::new(Catalogue::new(front.platform.clone())),
            front,
            tls,
            cancels: Cancels::default(),
            decoys: random_bytes32()?,
            strangers: Strangers::new(SQL_GREETINGS_MAX, SQL_GREETINGS_PER_ADDRESS_MAX),
            sessions: Arc::new(Semaphore::new(SQL_CONNECTIONS_MAX)),
            guests: Mutex::default(),
        };
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            shared: Arc::new(shared),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves all who connect, each in a task of its own; never ends.
    pub async fn serve(self) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of files, most likely: some will be free again.
                    tracing::warn!(%error, "a SQL client could not connect");
                    self.shared.front.platform.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Where there is no place, the client is told so by the closed connection: nothing can be said before TLS.
            if let Some(place) = self.shared.strangers.take(peer.ip()) {
                tokio::spawn(receive(self.shared.clone(), stream, place));
            }
        }
    }
}

/// Greets a client, and serves it if it is welcome.
async fn receive(shared: Arc<Shared>, stream: TcpStream, place: strangers::Place) {
    let greeting = welcome::greet(&shared, stream);
    let greeted = tokio::select! {
        greeted = within(&*shared.front.platform, GREETING_TIMEOUT, greeting) => greeted,
        () = place.taken_away() => {
            tracing::debug!("a SQL client gave way to another that has not said who it is");
            return;
        }
    };
    drop(place);
    match greeted {
        Some(Ok(Some(session))) => session.run().await,
        Some(Ok(None)) => {}
        Some(Err(error)) => tracing::debug!(%error, "a SQL client was not let in"),
        None => tracing::debug!("a SQL client did not say who it is in time"),
    }
}

impl Shared {
    /// A place for a connection of this analyst; none if there are too many.
    fn place(self: &Arc<Self>, name: &Name) -> Option<Place> {
        let session = self.sessions.clone().try_acquire_owned().ok()?;
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let own = guests.entry(name.clone()).or_default();
        if *own >= SQL_CONNECTIONS_PER_PARTY_MAX {
            return None;
        }
        *own += 1;
        Some(Place {
            shared: self.clone(),
            name: name.clone(),
            _session: session,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let guests = &self.shared.guests;
        let mut guests = guests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = guests.get_mut(&self.name) {
            *own -= 1;
            if *own == 0 {
                guests.remove(&self.name);
            }
        }
    }
}

/// How long a client may take from its first byte until it has proved who it is.
const GREETING_TIMEOUT: Duration = Duration::from_secs(15);
/// How long nobody is let in where the system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
