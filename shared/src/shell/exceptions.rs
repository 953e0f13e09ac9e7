//! Exceptions for screened uses in a folder: each a text, with the signatures of officers beside it. Says which of them count.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::documents::read_document;
use super::law_packs::{Broken, day_of};
use super::report::{self, Table};
use super::signed::signers;
use crate::base::calendar;
use crate::base::ids::{Hash32, IdentityKey};
use crate::base::limits::EXCEPTIONS_MAX;
use crate::base::time::Timestamp;
use crate::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use crate::domain::law::exception::{Exception, Granted, NotGranted};
use crate::domain::law::{Purpose, Word as _};

/// A file of an exception.
#[derive(Clone, Debug)]
pub struct Held {
    /// The file.
    pub file: PathBuf,
    /// What it says.
    pub exception: Exception,
    /// Whether it counts.
    pub granted: Result<Granted, NotGranted>,
}

/// The exceptions of a folder, which need not be there, in order of their files.
///
/// # Errors
///
/// [`Broken`], or something cannot be read.
pub fn all(
    folder: &Path,
    own: (&IdentityKey, &[IdentityKey]),
    purposes: &[Purpose],
) -> anyhow::Result<Vec<Held>> {
    let mut files = Vec::new();
    let could_not = || format!("could not read {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(could_not),
    };
    for entry in entries {
        let path = entry.with_context(could_not)?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    let (count, shown) = (files.len(), folder.display());
    ensure!(
        count <= EXCEPTIONS_MAX,
        "{shown} has {count} files *.toml, expected at most {EXCEPTIONS_MAX}"
    );
    files.sort();
    let read = files.into_iter().map(|file| one(file, own, purposes));
    read.collect()
}

fn one(
    file: PathBuf,
    own: (&IdentityKey, &[IdentityKey]),
    purposes: &[Purpose],
) -> anyhow::Result<Held> {
    let exception = read(&file)?;
    let signed = file.with_extension(SIGNED);
    let lines = match signed.exists() {
        true => read_document(&signed)?,
        false => String::new(),
    };
    let purpose = purposes.iter().find(|known| known.id == exception.purpose);
    let signers = signers(&lines, &exception.digest());
    let granted = exception.granted(own, purpose, &signers);
    Ok(Held {
        file,
        exception,
        granted,
    })
}

/// Reads the file of one.
///
/// # Errors
///
/// [`Broken`], or it cannot be read.
pub fn read(file: &Path) -> anyhow::Result<Exception> {
    let exception = Exception::parse(&read_document(file)?);
    Ok(exception.map_err(|problem| Broken::new(file, problem))?)
}

/// Those that count; the log tells of the others.
#[must_use]
pub fn granted(held: &[Held]) -> Vec<Granted> {
    let each = held.iter().filter_map(|one| match &one.granted {
        Ok(granted) => Some(granted.clone()),
        Err(why) => {
            tracing::warn!(file = %one.file.display(), %why, "an exception for a screened use counts for nothing");
            None
        }
    });
    each.collect()
}

/// What a history says of one, and its key: once for each that counts.
#[must_use]
pub fn said(granted: &Granted, policy: Hash32) -> (String, Event) {
    let signers = granted.signers.iter();
    let signers = signers.map(|key| Json::from(key.to_string())).collect();
    let payload = Json::object([
        ("exception", Json::from(granted.digest.to_string())),
        ("from", Json::from(calendar::written(granted.from))),
        ("purpose", Json::from(granted.purpose.as_str())),
        ("reason", Json::from(granted.reason.as_str())),
        ("signers", Json::List(signers)),
        ("until", Json::from(calendar::written(granted.until))),
        ("use", Json::from(granted.screened.word())),
    ]);
    let event = Event::of_program(Kind::OverrideGranted, payload);
    let event = event.by(ActorKind::Person, ActorRole::None);
    let key = format!("override.granted/{}", granted.digest);
    (key, Event { policy, ..event })
}

/// For programs.
#[must_use]
pub fn as_json(held: &[Held], now: Timestamp) -> Vec<Value> {
    let each = held.iter().map(|one| {
        let exception = &one.exception;
        json!({
            "file": one.file,
            "exception": exception.digest().to_string(),
            "purpose": exception.purpose,
            "use": exception.screened.word(),
            "reason": exception.reason,
            "from": calendar::written(exception.from),
            "until": calendar::written(exception.until),
            "standing": standing(one, now),
        })
    });
    each.collect()
}

/// For people.
///
/// # Errors
///
/// It cannot be printed.
pub fn print(held: &[Held], now: Timestamp) -> anyhow::Result<()> {
    let mut table = Table::new(&["EXCEPTION", "PURPOSE", "USE", "UNTIL", "STANDING", "REASON"]);
    for one in held {
        let exception = &one.exception;
        table.row([
            one.file.display().to_string(),
            exception.purpose.to_string(),
            exception.screened.to_string(),
            calendar::written(exception.until),
            standing(one, now),
            report::printable(&exception.reason),
        ]);
    }
    table.print()
}

fn standing(one: &Held, now: Timestamp) -> String {
    let (exception, today) = (&one.exception, day_of(now));
    match &one.granted {
        Err(why) => why.to_string(),
        Ok(_) if today < exception.from => "signed, not in force yet".to_owned(),
        Ok(_) if today > exception.until => "signed, and over".to_owned(),
        Ok(_) => "signed by two, in force from the next start on".to_owned(),
    }
}

/// The folder in a directory of a node or a coordinator.
pub const FOLDER: &str = "exceptions";
/// How the file of signatures ends.
pub const SIGNED: &str = "signed";

#[cfg(test)]
mod tests {
    use super::super::keys::Identity;
    use super::super::signed::line;
    use super::*;
    use crate::domain::law::Purposes;

    const PURPOSES: &str = include_str!("../../laws/examples/purposes.toml");
    const SITE: IdentityKey = IdentityKey([9; 32]);
    /// 2026-11-26.
    const TODAY: i32 = 20_783;

    #[test]
    fn l3_override_needs_two_signers_beside_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let purposes = Purposes::parse(PURPOSES).unwrap();
        let purpose = purposes.list().iter().find(|own| own.annex_iii.is_some());
        let purpose = purpose.unwrap();
        let text = Exception::written(&SITE, purpose, "a pilot", (TODAY, TODAY + 30)).unwrap();
        let officers = [(); 2].map(|()| Identity::generate().unwrap());
        let keys = [officers[0].public(), officers[1].public()];
        let look = || all(folder.path(), (&SITE, &keys), purposes.list()).unwrap();
        assert!(look().is_empty());
        let file = folder.path().join("pilot.toml");
        fs::write(&file, &text).unwrap();
        let digest = look()[0].exception.digest();
        assert!(granted(&look()).is_empty(), "nobody signed");
        let signed = file.with_extension(SIGNED);
        fs::write(&signed, line(&officers[0], &digest)).unwrap();
        assert!(granted(&look()).is_empty(), "one signed");
        let both = officers.each_ref().map(|own| line(own, &digest)).concat();
        fs::write(&signed, &both).unwrap();
        let found = granted(&look());
        assert_eq!(found.len(), 1);
        let (key, event) = said(&found[0], Hash32::default());
        assert!(key.ends_with(&digest.to_string()));
        let told = |field: &str| event.payload.get(field).cloned();
        assert_eq!(told("reason"), Some(Json::from("a pilot")));
        assert_eq!(told("until"), Some(Json::from("2026-12-26")));
        assert!(event.payload.to_payload().is_ok());
        // A byte more, and nobody has signed that.
        fs::write(&file, format!("{text}\n")).unwrap();
        assert!(granted(&look()).is_empty());
        fs::write(&file, "site = 1\n").unwrap();
        let error = all(folder.path(), (&SITE, &keys), purposes.list()).unwrap_err();
        assert!(error.is::<Broken>(), "{error}");
    }
}
