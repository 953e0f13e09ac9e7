//! Bytes of one file or object, chunk by chunk, wherever it is.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::s3_guard::store_problem;
use crate::shell::source_error::SourceError;

/// One file or object of a table.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// For people: the path, or `s3://bucket/key`.
    pub(super) name: PathBuf,
    /// Where its bytes are.
    pub(super) bytes: Bytes,
}

/// How bytes are reached.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    Local,
    Remote(Arc<dyn ObjectStore>, Path),
}

/// The world failed while bytes were read.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Store(&'static str),
}

/// Bytes that are being read.
pub(super) enum Chunks {
    Local(File),
    Remote(BoxStream<'static, object_store::Result<Vec<u8>>>),
}

impl Place {
    /// Starts to read.
    pub(super) async fn open(&self) -> Result<Chunks, Fault> {
        match &self.bytes {
            Bytes::Local => File::open(&self.name).map(Chunks::Local).map_err(Fault::Io),
            Bytes::Remote(store, path) => {
                let got = store.get(path).await.map_err(fault)?;
                let chunks = got.into_stream().map(|chunk| Ok(chunk?.to_vec()));
                Ok(Chunks::Remote(chunks.boxed()))
            }
        }
    }

    /// The error to tell.
    pub(super) fn unreadable(&self, what: &str, fault: Fault) -> SourceError {
        let path = self.name.clone();
        match fault {
            Fault::Io(source) => SourceError::Unreadable {
                what: what.to_owned(),
                path,
                source,
            },
            Fault::Store(problem) => SourceError::Format { path, problem },
        }
    }
}

impl Chunks {
    /// Appends some bytes; false at the end.
    pub(super) async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, Fault> {
        match self {
            Self::Local(file) => {
                let filled = into.len();
                into.resize(filled + CHUNK_BYTES, 0);
                let read = file.read(&mut into[filled..]);
                into.truncate(filled + read.as_ref().map_or(0, |read| *read));
                Ok(read.map_err(Fault::Io)? > 0)
            }
            Self::Remote(stream) => loop {
                let Some(chunk) = stream.next().await else {
                    return Ok(false);
                };
                let chunk = chunk.map_err(fault)?;
                into.extend_from_slice(&chunk);
                if !chunk.is_empty() {
                    return Ok(true);
                }
            },
        }
    }
}

fn fault(error: object_store::Error) -> Fault {
    Fault::Store(store_problem(&error))
}

/// Bytes that are read from a file at once.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
