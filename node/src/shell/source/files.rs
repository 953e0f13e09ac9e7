//! The files or objects of a table: all of one kind, in the order of their names, with the values of their partition folders.
//!
//! A table's folder holds its files, or folders named `key=value` that hold them; other folders are not part of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aquifer_shared::base::limits::{PARTITION_KEYS_MAX, TABLE_FILES_MAX};
use arrow::datatypes::{DataType, Field, FieldRef};
use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::config::S3Config;
use super::csv_value::{Content, Value};
use super::place::{Bytes, Place};
use super::s3_guard::store_problem;
use crate::shell::source_error::SourceError;

/// A file's format, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Csv,
    Parquet,
    Json,
}

/// The files of a table.
#[derive(Debug)]
pub(super) struct Files {
    /// Of all of them.
    pub(super) kind: Kind,
    /// In order.
    pub(super) files: Vec<TableFile>,
    /// Names of the partition columns, outermost first.
    pub(super) keys: Vec<String>,
}

/// One file of a table.
#[derive(Clone, Debug)]
pub(super) struct TableFile {
    /// Where it is.
    pub(super) place: Place,
    /// What the query engine wants to know of it.
    pub(super) meta: ObjectMeta,
    /// Its values of the partition columns.
    pub(super) values: Vec<Option<String>>,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            "json" | "ndjson" | "jsonl" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The table's files on this machine.
pub(super) fn local(table: &str, path: &Path) -> Result<Files, SourceError> {
    let unreadable = |source| SourceError::Unreadable {
        what: format!("table {table:?}"),
        path: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        walk(path, &mut Vec::new(), &mut found).map_err(unreadable)?;
    } else {
        let name = path.file_name().map(Path::new).unwrap_or(path);
        let kind = Kind::of(&name.to_string_lossy()).ok_or_else(|| SourceError::Format {
            path: path.to_owned(),
            problem: ONE_NAME,
        })?;
        found.push((path.to_owned(), Vec::new(), kind));
    }
    let files = found.into_iter().map(|(name, folders, kind)| {
        let facts = std::fs::metadata(&name).map_err(unreadable)?;
        let absolute = std::fs::canonicalize(&name).map_err(unreadable)?;
        let location = Key::from_absolute_path(absolute).map_err(|_| SourceError::Format {
            path: name.clone(),
            problem: "the name is not text",
        })?;
        let meta = ObjectMeta {
            location,
            last_modified: facts.modified().unwrap_or(std::time::UNIX_EPOCH).into(),
            size: facts.len(),
            e_tag: None,
            version: None,
        };
        let bytes = Bytes::Local;
        Ok((Place { name, bytes }, meta, folders, kind))
    });
    collected(path, files.collect::<Result<_, SourceError>>()?)
}

/// A file with the partition folders above it.
type Found = (PathBuf, Vec<String>, Kind);

fn walk(folder: &Path, above: &mut Vec<String>, found: &mut Vec<Found>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if name.contains('=') && above.len() < PARTITION_KEYS_MAX {
                above.push(name);
                walk(&path, above, found)?;
                above.pop();
            }
            continue;
        }
        let kind = Kind::of(&name).filter(|_| !is_hidden(&name));
        found.extend(kind.map(|kind| (path, above.clone(), kind)));
        if found.len() > TABLE_FILES_MAX {
            return Err(std::io::Error::other(TOO_MANY));
        }
    }
    Ok(())
}

/// The table's objects in a store.
pub(super) async fn remote(
    config: &S3Config,
    store: &Arc<dyn ObjectStore>,
) -> Result<Files, SourceError> {
    let wrong = |problem| SourceError::Format {
        path: config.url.clone().into(),
        problem,
    };
    let (bucket, key) = config.bucket_and_key().unwrap_or_default();
    let folder = key.is_empty() || key.ends_with('/');
    let prefix = Key::parse(key.trim_end_matches('/'));
    let prefix = prefix.map_err(|_| wrong("a part of the key is empty or is no name"))?;
    let kept = |meta: ObjectMeta, relative: Vec<String>| {
        let (name, folders) = relative.split_last()?;
        let kind = Kind::of(name).filter(|_| !folder || !is_hidden(name))?;
        let partitions = folders.iter().all(|name| name.contains('='));
        let place = Place {
            name: format!("s3://{bucket}/{}", meta.location).into(),
            bytes: Bytes::Remote(store.clone(), meta.location.clone()),
        };
        (partitions && folders.len() <= PARTITION_KEYS_MAX)
            .then(|| (place, meta, folders.to_vec(), kind))
    };
    if !folder {
        let meta = store.head(&prefix).await;
        let meta = meta.map_err(|error| wrong(store_problem(&error)))?;
        let name = prefix.filename().unwrap_or_default().to_owned();
        let found = kept(meta, vec![name]).ok_or_else(|| wrong(ONE_NAME))?;
        return collected(Path::new(&config.url), vec![found]);
    }
    let mut found = Vec::new();
    let mut objects = store.list(Some(&prefix));
    while let Some(object) = objects.next().await {
        let meta = object.map_err(|error| wrong(store_problem(&error)))?;
        let relative = meta.location.prefix_match(&prefix);
        let relative = relative.map(|parts| parts.map(|part| part.as_ref().to_owned()).collect());
        found.extend(kept(meta, relative.unwrap_or_default()));
        if found.len() > TABLE_FILES_MAX {
            return Err(wrong(TOO_MANY));
        }
    }
    collected(Path::new(&config.url), found)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn collected(
    path: &Path,
    mut found: Vec<(Place, ObjectMeta, Vec<String>, Kind)>,
) -> Result<Files, SourceError> {
    let wrong = |problem| SourceError::Format {
        path: path.to_owned(),
        problem,
    };
    found.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let kind = found.first().map(|file| file.3);
    let kind = kind.filter(|kind| found.iter().all(|file| file.3 == *kind));
    let kind = kind.ok_or_else(|| wrong(ONE_KIND))?;
    let mut keys: Option<Vec<String>> = None;
    let mut files = Vec::with_capacity(found.len());
    for (place, meta, folders, _) in found {
        let pairs: Option<Vec<_>> = folders.iter().map(|name| pair(name)).collect();
        let pairs = pairs.ok_or_else(|| wrong("a partition folder's name is not text"))?;
        let (names, values): (Vec<String>, Vec<_>) = pairs.into_iter().unzip();
        if keys.get_or_insert_with(|| names.clone()) != &names {
            return Err(wrong(
                "the key=value folders above the files differ in their keys, expected the same ones for all",
            ));
        }
        files.push(TableFile {
            place,
            meta,
            values,
        });
    }
    let keys = keys.unwrap_or_default();
    if keys.iter().collect::<BTreeSet<_>>().len() < keys.len() {
        return Err(wrong(
            "two key=value folders above a file have the same key",
        ));
    }
    Ok(Files { kind, files, keys })
}

/// Key and value of a partition folder; the value that stands for NULL is `None`.
fn pair(folder: &str) -> Option<(String, Option<String>)> {
    let (key, value) = folder.split_once('=')?;
    let (key, value) = (decoded(key)?, decoded(value)?);
    let value = Some(value).filter(|value| value != "__HIVE_DEFAULT_PARTITION__");
    Some((key, value))
}

/// Undoes `%2F` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .and_then(|digits| str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

impl Files {
    /// The partition columns: numbers where every value is one, as in CSV files, else text.
    pub(super) fn partition_columns(&self, text_columns: &[String]) -> Vec<FieldRef> {
        let columns = self.keys.iter().enumerate().map(|(index, key)| {
            let values = self
                .files
                .iter()
                .filter_map(|file| file.values[index].as_ref());
            let contents = values.map(|value| value.bytes().fold(Value::default(), Value::after));
            let content = contents.fold(Content::Empty, |all, value| all.and(value.content()));
            let kind = column_type(key, content, text_columns);
            Arc::new(Field::new(key, kind, true))
        });
        columns.collect()
    }
}

/// The type of a column whose values are like this.
pub(super) fn column_type(name: &str, content: Content, text_columns: &[String]) -> DataType {
    match content {
        _ if text_columns.iter().any(|text| text == name) => DataType::Utf8,
        Content::Whole => DataType::Int64,
        Content::Real => DataType::Float64,
        Content::Empty | Content::Text => DataType::Utf8,
    }
}

const ONE_NAME: &str = "the name does not end in .csv, .parquet, .json, .ndjson or .jsonl";
const ONE_KIND: &str = "the folder should hold .csv files, .parquet files or .json (.ndjson, .jsonl) files, at least one and all of one kind";
const TOO_MANY: &str = "the folder holds more files than one table may have";

#[cfg(test)]
mod tests {
    use super::*;

    fn files_in(names: &[&str]) -> Result<Files, String> {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let path = directory.path().join("t").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        local("t", &directory.path().join("t")).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_values(names: &[&str], keys: &[&str], expected: &[&[Option<&str>]]) {
        let files = files_in(names).unwrap();
        assert_eq!(files.keys, keys);
        let values = files.files.iter();
        let values: Vec<Vec<Option<&str>>> = values
            .map(|file| file.values.iter().map(Option::as_deref).collect())
            .collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn folders_named_after_values_are_columns() {
        check_values(
            &["b.csv", "a.CSV", "old/c.csv", "note.txt", "_x.csv"],
            &[],
            &[&[], &[]],
        );
        check_values(
            &[
                "y=2025/m=1/a.parquet",
                "y=2024/m=12/a.parquet",
                "y=2024/m=12/.a.crc",
            ],
            &["y", "m"],
            &[&[Some("2024"), Some("12")], &[Some("2025"), Some("1")]],
        );
        check_values(
            &[
                "p=__HIVE_DEFAULT_PARTITION__/a.json",
                "p=a%2Fb%3d/a.json",
                "p=50%/a.json",
            ],
            &["p"],
            &[&[Some("50%")], &[None], &[Some("a/b=")]],
        );
    }

    #[track_caller]
    fn check_refused(names: &[&str], expected: &str) {
        let found = files_in(names).unwrap_err();
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn what_is_no_table_is_refused() {
        check_refused(&["note.txt"], "at least one and all of one kind");
        check_refused(&["a.csv", "b.json"], "all of one kind");
        check_refused(&["y=1/a.csv", "z=1/a.csv"], "differ in their keys");
        check_refused(&["y=1/a.csv", "a.csv"], "differ in their keys");
        check_refused(&["y=1/y=2/a.csv"], "the same key");
    }

    #[track_caller]
    fn check_type(names: &[&str], text: &[&str], expected: DataType) {
        let text: Vec<String> = text.iter().map(|name| (*name).to_owned()).collect();
        let columns = files_in(names).unwrap().partition_columns(&text);
        assert_eq!(columns[0].data_type(), &expected);
    }

    #[test]
    fn partition_columns_are_numbers_where_every_value_is_one() {
        check_type(&["y=1/a.csv", "y=2/a.csv"], &[], DataType::Int64);
        check_type(&["y=1/a.csv", "y=2.5/a.csv"], &[], DataType::Float64);
        check_type(&["y=1/a.csv", "y=x/a.csv"], &[], DataType::Utf8);
        check_type(&["y=01/a.csv"], &[], DataType::Utf8);
        check_type(&["y=1/a.csv"], &["y"], DataType::Utf8);
    }
}
