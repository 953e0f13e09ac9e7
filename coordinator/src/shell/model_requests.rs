//! Requests about models: lists, files, the sums behind them, and what becomes of those that are held.

use aquifer_shared::base::ids::Role;
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::{Release, Run};
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::protocol::ask::{ModelEntry, Response};

use super::clock::now;
use super::hub::Hub;
use super::lawful::denied_response;
use super::live::Live;
use super::model_life::OUT_OF_USE;
use super::publish;
use super::requests::{refused, unknown};
use super::store::{Party, StoreFault, StoredModel};
use crate::core::gates::Denied;

impl Hub {
    pub(super) async fn models(&self) -> Result<Response, StoreFault> {
        let models = self.store.models().await?;
        Ok(Response::Models(
            models
                .iter()
                .filter_map(publish::entry)
                .collect::<Vec<ModelEntry>>(),
        ))
    }

    async fn find_model(&self, which: &str) -> Result<Result<StoredModel, Response>, StoreFault> {
        let (name, version) = match split(which) {
            Ok(which) => which,
            Err(no) => return Ok(Err(no)),
        };
        let fits = |model: &StoredModel| {
            model.name.as_str() == name
                && version.map_or(model.published, |wanted| model.version == wanted)
        };
        let found = self
            .store
            .models()
            .await?
            .into_iter()
            .filter(fits)
            .max_by_key(|model| model.version);
        Ok(found.ok_or_else(|| unknown("published model", which)))
    }

    /// One version of a model: what ends its use, or is about it for good, names it.
    pub(super) async fn find_version(
        &self,
        which: &str,
    ) -> Result<Result<StoredModel, Response>, StoreFault> {
        let found = self.find_model(which).await?;
        Ok(
            found.and_then(|model| match (which.contains('@'), model.published) {
                (true, true) => Ok(model),
                (true, false) => Err(unknown("published model", which)),
                (false, _) => Err(refused("version", "expected NAME@VERSION".into())),
            }),
        )
    }

    pub(super) async fn model(&self, role: Role, which: &str) -> Result<Response, StoreFault> {
        let found = self.find_model_for(role, which).await?;
        Ok(found.map_or_else(|no| no, |model| Response::Model(model.file)))
    }

    /// A held candidate is for those who decide and those who check, not for use: neither its file nor what it is made of.
    async fn find_model_for(
        &self,
        role: Role,
        which: &str,
    ) -> Result<Result<StoredModel, Response>, StoreFault> {
        let found = self.find_model(which).await?;
        Ok(
            found.and_then(|model| match may_see(role, model.published) {
                true => Ok(model),
                false => Err(unknown("published model", which)),
            }),
        )
    }

    pub(super) async fn sums(&self, role: Role, which: &str) -> Result<Response, StoreFault> {
        let model = match self.find_model_for(role, which).await? {
            Ok(model) => model,
            Err(no) => return Ok(no),
        };
        let live = self.studies.get(&model.study);
        Ok(live.map_or_else(|| unknown("study", &model.study.short()), Live::sums))
    }

    pub(super) async fn decide(
        &mut self,
        party: &Party,
        which: &str,
        publish: bool,
    ) -> Result<Response, StoreFault> {
        let model = match self.find_model(which).await? {
            Ok(model) => model,
            Err(no) => return Ok(no),
        };
        let in_date = ModelFile::parse(&model.file).map(|file| file.in_date(now()));
        if let (true, Ok(Err(out))) = (publish, in_date) {
            return Ok(refused(OUT_OF_USE, out.to_string()));
        }
        let allowed = match publish {
            true => match self.may_release(party, &model) {
                Ok(allowed) => Some(allowed),
                Err(denied) => return Ok(denied_response(&denied)),
            },
            false => None,
        };
        let what = if publish { "release" } else { "drop" };
        self.store
            .audit(now(), party.name.as_str(), what, which)
            .await?;
        if !self
            .store
            .decide_model(&model.name, model.version, allowed)
            .await?
        {
            return Ok(refused(
                "not-held",
                format!("{}@{} is not held", model.name, model.version),
            ));
        }
        if publish {
            let released = StoredModel {
                published: true,
                ..model.clone()
            };
            self.note_history(Some(self.modelled(&released))).await;
            self.tell_lives().await;
        } else {
            // It takes nobody's place any more.
            self.agenda.forget();
        }
        Ok(Response::Done(format!(
            "{}@{}: {what} done",
            model.name, model.version
        )))
    }
}

impl Hub {
    /// What allows a held model to be released by a person, who counts as its reviewer where the operator has declared the name.
    fn may_release(
        &self,
        party: &Party,
        model: &StoredModel,
    ) -> Result<Allowed<Release, Run>, Denied> {
        let live = self.studies.get(&model.study).ok_or(Denied::Undeclared)?;
        let reviewer = Some((&party.name, party.identity));
        let law = &self.front.law;
        law.release(&live.terms, &live.contract, reviewer, now())
    }
}

/// Name and version of `NAME` or `NAME@VERSION`.
pub(super) fn split(which: &str) -> Result<(&str, Option<u32>), Response> {
    let Some((name, version)) = which.split_once('@') else {
        return Ok((which, None));
    };
    let no = |_| refused("version", "expected NAME or NAME@VERSION".into());
    Ok((name, Some(version.parse::<u32>().map_err(no)?)))
}

/// Whether a role may have a model, published or held.
fn may_see(role: Role, published: bool) -> bool {
    published || !matches!(role, Role::Node | Role::Analyst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::requests::MODEL_READERS;

    #[test]
    fn a_held_model_is_for_those_who_decide_and_those_who_check() {
        for role in MODEL_READERS {
            assert!(may_see(*role, true), "{role}");
            let uses = [Role::Node, Role::Analyst].contains(role);
            assert_eq!(may_see(*role, false), !uses, "{role}");
        }
    }
}
