//! A look at both ends of a Parquet file before the query engine reads it: is it one, and is it whole?

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use object_store::ObjectStore;

use super::files::TableFile;
use super::place::{Bytes, Fault};
use super::s3_guard::store_problem;
use crate::shell::source_error::SourceError;

type Ends = ([u8; 4], [u8; 4]);

/// A Parquet file starts and ends with the same four bytes.
///
/// # Errors
///
/// It does not, or cannot be read.
pub(super) async fn check_whole(file: &TableFile) -> Result<(), SourceError> {
    let ends = match &file.place.bytes {
        Bytes::Local => local_ends(&file.place.name).map_err(Fault::Io),
        Bytes::Remote(store, key) => remote_ends(store.as_ref(), key, file.meta.size).await,
    };
    let unreadable = |fault| file.place.unreadable("Parquet file", fault);
    let (head, tail) = ends.map_err(unreadable)?;
    if &head == MARK && &tail == MARK {
        return Ok(());
    }
    let problem = match &head {
        MARK => "the end of a Parquet file is missing (the file is cut off)",
        _ => "this is not a Parquet file",
    };
    Err(SourceError::Format {
        path: file.place.name.clone(),
        problem,
    })
}

fn local_ends(path: &Path) -> io::Result<Ends> {
    let mut file = File::open(path)?;
    let (mut head, mut tail) = ([0; 4], [0; 4]);
    if file.metadata()?.len() >= BYTES_MIN {
        file.read_exact(&mut head)?;
        file.seek(SeekFrom::End(-4))?;
        file.read_exact(&mut tail)?;
    }
    Ok((head, tail))
}

async fn remote_ends(
    store: &dyn ObjectStore,
    key: &object_store::path::Path,
    size: u64,
) -> Result<Ends, Fault> {
    if size < BYTES_MIN {
        return Ok(Ends::default());
    }
    let ranges = [0..4, size - 4..size];
    let parts = store.get_ranges(key, &ranges).await;
    let parts = parts.map_err(|error| Fault::Store(store_problem(&error)))?;
    let four = |index: usize| {
        parts
            .get(index)
            .and_then(|part| part.as_ref().try_into().ok())
    };
    Ok((four(0).unwrap_or_default(), four(1).unwrap_or_default()))
}

const MARK: &[u8; 4] = b"PAR1";
/// Both marks and the length of the metadata.
const BYTES_MIN: u64 = 12;
