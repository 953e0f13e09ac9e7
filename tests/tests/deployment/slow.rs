//! Clients that take their time: one byte a second, or an answer that is not read. `openssl` speaks TLS for them.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How long a slow client waits before its next byte.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the other side may take to close; far more than it should.
const CLOSED_WITHIN: Duration = Duration::from_secs(120);
/// A request for TLS, as PostgreSQL's clients send it first.
pub const TLS_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

/// Waits without a word until the other side closes, having said nothing.
#[track_caller]
pub fn wait_closed(mut stream: TcpStream) {
    stream.set_read_timeout(Some(CLOSED_WITHIN)).unwrap();
    match stream.read(&mut [0]) {
        Ok(said) => assert_eq!(said, 0, "the other side says something"),
        Err(error) => assert!(!is_silence(&error), "not closed in time"),
    }
}

/// Says these bytes one by one until the other side closes; it must have closed before the last.
#[track_caller]
pub fn drip(mut stream: TcpStream, bytes: &[u8]) {
    stream.set_read_timeout(Some(PAUSE)).unwrap();
    for byte in bytes {
        match stream.read(&mut [0; 64]) {
            Ok(1..) => {}
            Err(error) if is_silence(&error) => {
                // Whether it is still open is what the next read tells.
                let _ = stream.write_all(&[*byte]);
            }
            Ok(0) | Err(_) => return,
        }
    }
    panic!("{} bytes, one a second, were listened to", bytes.len());
}

/// Whether nothing came for as long as was waited.
fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A client over TLS that sends what it is given and nothing of its own accord.
pub struct Slow {
    process: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Slow {
    /// Connects to this port from another address than most clients, with further arguments of `openssl s_client`.
    pub fn connect(port: u16, more: &[&str]) -> Self {
        let place = format!("127.0.0.1:{port}");
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-servername", "aquifer"]);
        client.args(["-bind", "127.0.0.2:0", "-connect", &place]);
        let piped = client.args(more).stdin(Stdio::piped());
        let piped = piped.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = piped.spawn().unwrap();
        let (input, output) = (process.stdin.take(), process.stdout.take());
        Self {
            process,
            input: input.unwrap(),
            output: output.unwrap(),
        }
    }

    /// A SQL session of whoever has this folder.
    pub fn session(port: u16, user: &str, folder: &Path) -> Self {
        let [certificate, key] = ["certificate.pem", "tls.key"].map(|file| folder.join(file));
        let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
        let more = ["-starttls", "postgres", "-cert", files[0], "-key", files[1]];
        let mut client = Self::connect(port, &more);
        let parameters = format!("user\0{user}\0database\0aquifer\0\0");
        let length = u32::try_from(8 + parameters.len()).unwrap();
        client.say(&length.to_be_bytes());
        client.say(b"\0\x03\0\0");
        client.say(parameters.as_bytes());
        client
    }

    /// Sends these bytes.
    pub fn say(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
    }

    /// Whether nobody has closed it yet.
    pub fn is_open(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits without a word until the other side closes; what it said.
    #[track_caller]
    pub fn waits(self) -> String {
        self.until_closed(|heard, _| heard.recv_timeout(CLOSED_WITHIN).ok())
    }

    /// Says these bytes one by one until the other side closes, which it must before the last; what it said.
    #[track_caller]
    pub fn drips(self, bytes: &[u8]) -> String {
        self.until_closed(|heard, input| {
            for byte in bytes {
                match heard.recv_timeout(PAUSE) {
                    Ok(said) => return Some(said),
                    // It may have ended just now, as the next look tells.
                    Err(_) => drop(input.write_all(&[*byte])),
                }
            }
            None
        })
    }

    /// All that the other side says until it closes, which `end` waits for.
    #[track_caller]
    fn until_closed(
        self,
        end: impl FnOnce(&Receiver<Vec<u8>>, &mut ChildStdin) -> Option<Vec<u8>>,
    ) -> String {
        let (mut process, mut input, mut output) = (self.process, self.input, self.output);
        let (sender, heard) = channel();
        let listening = thread::spawn(move || {
            let mut said = Vec::new();
            let read = output.read_to_end(&mut said);
            // Nobody waits for it where the client has been listened to for too long.
            let _ = sender.send(said);
            read
        });
        let said = end(&heard, &mut input);
        process.kill().unwrap();
        process.wait().unwrap();
        listening.join().unwrap().unwrap();
        String::from_utf8_lossy(&said.expect("closed in time")).into_owned()
    }
}
