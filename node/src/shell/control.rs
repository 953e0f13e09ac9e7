//! The node's own door: a Unix socket in its directory, so that commands can ask the process that holds the ledger.
//!
//! One line of JSON each way. Only the owner of the directory can reach it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::views::{Answer, Query};

/// A question on its way to the loop, and where the answer goes.
pub type Asked = (Query, oneshot::Sender<Answer>);

/// The socket; gone with this value.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

/// The socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DoorFault {
    /// It cannot be made.
    #[error("could not make the socket {}", path.display())]
    Make {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The running node does not answer as it should.
    #[error("the running node at {} does not answer", path.display())]
    Ask {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Door {
    /// Makes the socket; the caller holds the ledger's lock, so an old one is a leftover. Call within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn open(directory: &Path) -> Result<Self, DoorFault> {
        let path = directory.join(SOCKET_FILE);
        let fault = |source| DoorFault::Make {
            path: path.clone(),
            source,
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let near = Near::of(directory).map_err(fault)?;
        let listener = UnixListener::bind(near.path()).map_err(fault)?;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).map_err(fault)?;
        Ok(Self { listener, path })
    }

    /// Takes questions to the loop, one connection at a time, until the loop goes away.
    pub async fn serve(self, loop_end: mpsc::Sender<Asked>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = loop_end.closed() => return,
            };
            if let Ok((stream, _)) = accepted {
                // The socket's mode says the same, but only once it is set: whoever asks here may approve studies.
                let peer = stream.peer_cred();
                if !peer.is_ok_and(|peer| may_ask(peer.uid(), geteuid().as_raw())) {
                    continue;
                }
                let (read, mut write) = stream.into_split();
                let handled = tokio::time::timeout(PATIENCE, async {
                    let answer = hear(read, &loop_end).await?;
                    write.write_all(answer.as_bytes()).await
                });
                // A caller that went away hears nothing; that is its own business.
                let _ = handled.await;
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // A leftover is removed by the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The node's own user, and root, who could become that user.
fn may_ask(user: u32, own: u32) -> bool {
    user == own || user == 0
}

async fn hear(
    read: impl tokio::io::AsyncRead + Unpin,
    loop_end: &mpsc::Sender<Asked>,
) -> io::Result<String> {
    let mut line = String::new();
    let limited = read.take(LINE_BYTES_MAX);
    tokio::io::BufReader::new(limited)
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str(&line) {
        Err(error) => Answer::Refused(format!("not a question of this version: {error}")),
        Ok(query) => {
            let (reply, answered) = oneshot::channel();
            let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
            loop_end.send((query, reply)).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        }
    };
    Ok(serde_json::to_string(&answer)? + "\n")
}

/// Asks the running node of a directory; none where no node runs there.
///
/// # Errors
///
/// A node runs but does not answer.
pub fn ask(directory: &Path, query: &Query) -> Result<Option<Answer>, DoorFault> {
    ask_within(directory, query, PATIENCE)
}

/// The same, and waits no longer than this for the answer.
///
/// # Errors
///
/// A node runs but does not answer.
pub fn ask_within(
    directory: &Path,
    query: &Query,
    patience: Duration,
) -> Result<Option<Answer>, DoorFault> {
    let path = directory.join(SOCKET_FILE);
    let stream = Near::of(directory).and_then(|near| UnixStream::connect(near.path()));
    let stream = match stream {
        Err(error) if is_nobody(&error) => return Ok(None),
        stream => stream,
    };
    let answered = stream.and_then(|stream| converse(stream, query, patience));
    answered
        .map(Some)
        .map_err(|source| DoorFault::Ask { path, source })
}

fn converse(mut stream: UnixStream, query: &Query, patience: Duration) -> io::Result<Answer> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all((serde_json::to_string(query)? + "\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// A way to the socket that is short enough for the kernel, however deep the directory is.
struct Near {
    _directory: std::fs::File,
    path: PathBuf,
}

impl Near {
    fn of(directory: &Path) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        let directory = std::fs::File::open(directory)?;
        let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
        Ok(Self {
            _directory: directory,
            path: path.into(),
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

const SOCKET_FILE: &str = "control.sock";
const LINE_BYTES_MAX: u64 = 16 << 20;
/// A node that starts reads its data first.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_finds_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let door = Door::open(&deep).unwrap();
        let (to_loop, mut asked) = mpsc::channel(1);
        tokio::spawn(door.serve(to_loop));
        let asking = tokio::task::spawn_blocking({
            let deep = deep.clone();
            move || ask(&deep, &Query::Studies)
        });
        let (query, reply) = asked.recv().await.unwrap();
        assert_eq!(query, Query::Studies);
        reply.send(Answer::Studies(Vec::new())).unwrap();
        let answer = asking.await.unwrap().unwrap();
        assert_eq!(answer, Some(Answer::Studies(Vec::new())));
        let mode = std::fs::metadata(deep.join(SOCKET_FILE)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn other_users_may_not_ask() {
        assert!(may_ask(1_000, 1_000) && may_ask(0, 1_000));
        assert!(!may_ask(1_001, 1_000) && !may_ask(65_534, 0));
    }

    #[test]
    fn where_no_node_runs_nobody_answers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ask(folder.path(), &Query::Budget).unwrap().is_none());
    }
}
