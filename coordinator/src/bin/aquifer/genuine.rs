//! Models as they come from the coordinator or from a file, believed only with the signature of the pinned release key.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::limits::MODEL_BYTES_MAX;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::shell::keys::verify;

use crate::client::Client;

/// What a question came to: the thing, or the answer that stands in its place.
pub(crate) type Found<T> = Result<T, Response>;

/// Fetches a model and checks format, hash and signature.
///
/// # Errors
///
/// The coordinator cannot be asked, or sends a file that the release key did not sign.
pub(crate) async fn model(client: &Client, which: &str) -> anyhow::Result<Found<ModelFile>> {
    asked(client, which, Request::ModelFetch(which.to_owned())).await
}

/// The same for predictions: one that is out of use is refused.
///
/// # Errors
///
/// As [`model`].
pub(crate) async fn to_use(client: &Client, which: &str) -> anyhow::Result<Found<ModelFile>> {
    asked(client, which, Request::ModelUse(which.to_owned())).await
}

async fn asked(client: &Client, which: &str, request: Request) -> anyhow::Result<Found<ModelFile>> {
    let text = match client.ask(request).await? {
        Response::Model(text) => text,
        other => return Ok(Err(other)),
    };
    let file = ModelFile::parse(&text).context("the coordinator sent a model that is none")?;
    check(&file, which, &client.directory.coordinator().release_key)?;
    Ok(Ok(file))
}

/// Reads an exported model and checks it as one that was fetched.
///
/// # Errors
///
/// The file cannot be read, is no model, or the release key did not sign it.
pub(crate) fn read(path: &Path, key: &IdentityKey) -> anyhow::Result<ModelFile> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("could not read {shown}"))?;
    let mut text = String::new();
    let read = file
        .take(MODEL_BYTES_MAX as u64 + 1)
        .read_to_string(&mut text);
    read.with_context(|| format!("could not read {shown}"))?;
    ensure!(
        text.len() <= MODEL_BYTES_MAX,
        "{shown} has more than the {MODEL_BYTES_MAX} bytes of the largest model"
    );
    let file = ModelFile::parse(&text).with_context(|| format!("{shown} is no model file"))?;
    check(&file, &shown.to_string(), key)?;
    Ok(file)
}

fn check(file: &ModelFile, which: &str, key: &IdentityKey) -> anyhow::Result<()> {
    let signed = file
        .signature()
        .is_some_and(|signature| verify(key, &file.signing_digest(), signature));
    ensure!(
        signed,
        "the model {which} is not signed by the release key {key} that the ticket pinned; do not use it"
    );
    Ok(())
}

/// Fetches the contract of a model and checks that it is the one that the model was made for.
///
/// # Errors
///
/// The coordinator cannot be asked, or sends another contract.
pub(crate) async fn contract(client: &Client, file: &ModelFile) -> anyhow::Result<Found<Contract>> {
    let name = file.card().contract.clone();
    let text = match client.ask(Request::ContractShow(name)).await? {
        Response::Contract(text) => text,
        other => return Ok(Err(other)),
    };
    let contract = Contract::parse(&text).context("the coordinator's contract is broken")?;
    ensure!(
        contract.hash() == file.model().contract_hash,
        "the coordinator's contract {} is another than the model was made for",
        file.card().contract
    );
    Ok(Ok(contract))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use aquifer_shared::shell::keys::Identity;

    use super::*;
    use crate::fixtures::finished;

    fn signed_by(key: &Identity) -> String {
        let (file, _) = finished();
        let signature = key.sign(&file.signing_digest()).try_into().unwrap();
        file.signed(signature).to_json()
    }

    #[test]
    fn a_model_file_is_believed_with_the_pinned_signature_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("churn.json");
        let (pinned, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let told = |text: &str| {
            fs::write(&path, text).unwrap();
            read(&path, &pinned.public()).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(told(&signed_by(&pinned)).unwrap().card().version, 1);
        let refused = [
            (signed_by(&other), "is not signed by the release key"),
            (finished().0.to_json(), "is not signed by the release key"),
            ("{}".to_owned(), "is no model file"),
            (
                " ".repeat(MODEL_BYTES_MAX + 1),
                "bytes of the largest model",
            ),
        ];
        for (text, expected) in refused {
            let error = told(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
