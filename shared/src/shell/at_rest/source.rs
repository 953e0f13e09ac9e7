//! Reads the master key from where the configuration says: a file, a variable of the environment, what a command prints.
//!
//! A variable stays in the environment of the process: taking it out is not sound while threads run. A command runs once per
//! process, gets no input, and is ended when it prints too much or takes too long.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::config::{AtRestConfig, Place};
use super::keys::MasterKey;
use super::permissions::read_key_file;
use super::{AtRestFault, at};
use crate::shell::keys::{random_bytes32, write_private};

impl AtRestConfig {
    /// The master key; none where its file or variable is not there.
    ///
    /// # Errors
    ///
    /// What is there is no key, is not protected, or cannot be read.
    pub(super) fn read(&self, directory: &Path) -> Result<Option<MasterKey>, AtRestFault> {
        let place = self.place(directory);
        match &self.0 {
            Place::File(file) => {
                let bytes = read_key_file(&directory.join(file))?;
                bytes.map(|bytes| key_of(&bytes, place, true)).transpose()
            }
            Place::Variable(name) => {
                let text =
                    std::env::var_os(name).map(|text| Zeroizing::new(text.into_encoded_bytes()));
                text.map(|text| key_of(&text, place, false)).transpose()
            }
            Place::Command(words) => key_of(&printed(words, PATIENCE)?, place, false).map(Some),
        }
    }

    /// Makes the key file where a file is named; other places are not ours to fill.
    pub(super) fn make(&self, directory: &Path) -> Result<Option<MasterKey>, AtRestFault> {
        let Place::File(file) = &self.0 else {
            return Ok(None);
        };
        let path = directory.join(file);
        make_key_file(&path)?;
        self.read(directory)
    }

    /// The key's file, if it is one.
    pub(super) fn file(&self, directory: &Path) -> Option<std::path::PathBuf> {
        match &self.0 {
            Place::File(file) => Some(directory.join(file)),
            _ => None,
        }
    }
}

/// Makes a key file, whole or not at all.
pub(super) fn make_key_file(path: &Path) -> Result<(), AtRestFault> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".making");
    let beside = Path::new(&beside);
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(at("remove", beside)(error));
        }
        _ => {}
    }
    write_private(beside, &*Zeroizing::new(random_bytes32()?))?;
    std::fs::rename(beside, path).map_err(at("make", path))?;
    super::keyring::sync_folder_of(path)
}

/// 32 bytes as they are, where that is taken, or as 64 hexadecimal digits.
fn key_of(bytes: &[u8], place: String, raw: bool) -> Result<MasterKey, AtRestFault> {
    if let (Ok(key), true) = (<[u8; 32]>::try_from(bytes), raw) {
        return Ok(MasterKey::new(key));
    }
    let digits = bytes.trim_ascii();
    let mut key = Zeroizing::new([0; 32]);
    let pairs = digits.chunks_exact(2).map(|pair| {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        Some((digit(0)? * 16 + digit(1)?) as u8)
    });
    let read = (digits.len() == 64).then(|| {
        key.iter_mut().zip(pairs).try_for_each(|(into, byte)| {
            *into = byte?;
            Some(())
        })
    });
    match read.flatten() {
        Some(()) => Ok(MasterKey::new(*key)),
        None => Err(AtRestFault::NoKey {
            place,
            found: match digits.len() {
                64 => "64 characters that are not all hexadecimal digits".to_owned(),
                _ => format!("{} bytes", bytes.len()),
            },
            or_bytes: if raw { " or 32 bytes" } else { "" },
        }),
    }
}

/// What a command prints.
fn printed(words: &[String], patience: Duration) -> Result<Zeroizing<Vec<u8>>, AtRestFault> {
    let (program, rest) = words
        .split_first()
        .map_or(("", &[][..]), |(program, rest)| (program, rest));
    let fault = |problem: String| AtRestFault::Command {
        program: program.to_owned(),
        problem,
    };
    let started = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.map_err(|error| fault(format!("did not start: {error}")))?;
    let end = Instant::now() + patience;
    let output = child.stdout.take();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX + 1));
        let limited = output.map(|output| output.take(OUTPUT_BYTES_MAX as u64));
        let read = limited.map_or(Ok(0), |mut output| output.read_to_end(&mut bytes));
        // Whoever waited may have given up.
        let _ = tell.send(read.map(|_| bytes));
    });
    let read = told.recv_timeout(patience);
    let ended = match &read {
        Ok(Ok(bytes)) if bytes.len() < OUTPUT_BYTES_MAX => ended_by(&mut child, end),
        _ => None,
    };
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    match (read, ended) {
        (Ok(Ok(bytes)), Some(true)) => Ok(bytes),
        (Ok(Ok(_)), Some(false)) => Err(fault("failed (its exit code is not 0)".to_owned())),
        (Ok(Ok(bytes)), None) if bytes.len() >= OUTPUT_BYTES_MAX => Err(fault(format!(
            "printed {OUTPUT_BYTES_MAX} bytes or more, expected a key"
        ))),
        (Ok(Err(error)), _) => Err(fault(format!("could not be read: {error}"))),
        _ => Err(fault(format!("took longer than {} s", patience.as_secs()))),
    }
}

/// Whether it ended well; none where it has not ended in time.
fn ended_by(child: &mut Child, end: Instant) -> Option<bool> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.success());
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

const OUTPUT_BYTES_MAX: usize = 4 << 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one looks whether a command that has closed its output is gone.
const LOOK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff";

    #[track_caller]
    fn check(bytes: &[u8], raw: bool, expected: Result<(), &str>) {
        let found = key_of(bytes, "the place".to_owned(), raw).map(|_| ());
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(fault), Err(part)) => {
                let text = fault.to_string();
                assert!(text.contains(part) && text.contains("the place"), "{text}");
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_key_is_bytes_in_a_file_or_digits_anywhere() {
        check(&[200; 32], true, Ok(()));
        check(
            &[200; 32],
            false,
            Err("32 bytes, expected 64 hexadecimal digits"),
        );
        check(format!("{DIGITS}\n").as_bytes(), false, Ok(()));
        check(DIGITS.as_bytes(), true, Ok(()));
        check(&DIGITS.as_bytes()[1..], true, Err("63 bytes"));
        check(
            DIGITS.replace('A', "G").as_bytes(),
            true,
            Err("not all hexadecimal"),
        );
        check(b"", true, Err("0 bytes"));
    }

    #[track_caller]
    fn check_command(script: &str, expected: Result<&[u8], &str>) {
        let words = ["sh", "-c", script].map(str::to_owned);
        // Long where it must not matter, short where it must.
        let patience = Duration::from_secs(if script.contains("sleep") { 1 } else { 60 });
        match (printed(&words, patience), expected) {
            (Ok(found), Ok(bytes)) => assert_eq!(*found, bytes),
            (Err(fault), Err(part)) => {
                let text = fault.to_string();
                assert!(text.contains(part) && !text.contains(script), "{text}");
            }
            (found, _) => panic!("{script}: {found:?}"),
        }
    }

    #[test]
    fn a_command_prints_the_key() {
        check_command("printf key", Ok(b"key"));
        check_command("printf key; exit 3", Err("exit code"));
        check_command("yes", Err("4096 bytes or more"));
        check_command("exec sleep 600", Err("longer than 1 s"));
        check_command("exec >&-; exec sleep 600", Err("longer than 1 s"));
        let missing = printed(&["/no/such/program".to_owned()], PATIENCE).unwrap_err();
        assert!(missing.to_string().contains("did not start"), "{missing}");
    }

    #[test]
    fn a_key_file_is_made_whole() {
        let folder = tempfile::tempdir().unwrap();
        let config = AtRestConfig::default();
        assert!(config.read(folder.path()).unwrap().is_none());
        std::fs::write(folder.path().join("at-rest.key.making"), "half").unwrap();
        let made = config.make(folder.path()).unwrap().unwrap();
        let read = config.read(folder.path()).unwrap().unwrap();
        assert_eq!(made.mark(), read.mark());
    }

    #[test]
    fn a_variable_that_is_not_set_is_no_key() {
        let config = AtRestConfig::parse("key_env = \"AQUIFER_NO_SUCH_KEY\"").unwrap();
        assert!(config.read(Path::new("/")).unwrap().is_none());
        assert!(config.make(Path::new("/")).unwrap().is_none());
        let config = AtRestConfig::parse("key_env = \"PATH\"").unwrap();
        let text = config.read(Path::new("/")).unwrap_err().to_string();
        assert!(text.contains("environment variable PATH"), "{text}");
    }
}
