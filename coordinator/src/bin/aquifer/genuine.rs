//! Models as they come from the coordinator, believed only with the signature of the pinned release key.

use anyhow::{Context, ensure};
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
    let text = match client.ask(Request::ModelFetch(which.to_owned())).await? {
        Response::Model(text) => text,
        other => return Ok(Err(other)),
    };
    let file = ModelFile::parse(&text).context("the coordinator sent a model that is none")?;
    let key = &client.directory.coordinator().release_key;
    let signed = file
        .signature()
        .is_some_and(|signature| verify(key, &file.signing_digest(), signature));
    ensure!(
        signed,
        "the model {which} is not signed by the release key {key} that the ticket pinned; do not use it"
    );
    Ok(Ok(file))
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
