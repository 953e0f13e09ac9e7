//! Gates for tests: declared purposes of a small contract, under the packs that come along.

use std::collections::BTreeMap;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::witness::{Release, Run, Score};
use aquifer_shared::domain::law::{
    Allowed, Category, Pack, Purposes, Rulebook, Set, Transfer, vendored,
};

use super::gates::{Declared, Gates};
use crate::core::fixtures::terms;

/// 2026-11-25.
pub(crate) const TODAY: Timestamp = Timestamp(20_782 * 24 * 3_600 * 1_000);

/// The contract that [`PURPOSES`] are for.
pub(crate) const CONTRACT: &str = r#"
[contract]
name = "customers"
version = 1
[table.customers]
privacy_unit = "customer"
label = { column = "left", positive = "yes" }
[table.customers.column.plan]
levels = ["basic", "plus"]
[table.customers.column.tenure]
low = 0
high = 64
"#;

/// Purposes that cover it, one for each action.
pub(crate) fn purposes() -> String {
    let each = ["train", "query", "score"].map(|action| {
        format!(
            "[[purpose]]\nid = \"churn.{action}\"\ntitle = \"For tests\"\ndescription_plain = \"Made-up customers.\"\n\
             dpv_purpose = \"dpv:CustomerRelationshipManagement\"\nfides_data_use = \"improve\"\ndecision_effect = \"none\"\n\
             action = \"{action}\"\nexport = false\nfeatures_allowed = [\"plan\", \"tenure\", \"customer\"]\ntarget = \"left\"\n\
             sale_or_share = false\ndirect_marketing = false\nannex_iii = \"none\"\nli_assessment_id = \"none\"\n\
             dpia_ref = \"none\"\nmin_notice_version = 1\nsubject_overlap = \"disjoint\"\nowner = \"tests\"\n\
             review_by = 2099-12-31\n"
        )
    });
    each.concat()
}

/// What a head office in Germany declares.
pub(crate) fn declared() -> Declared {
    Declared {
        controller: "DE".parse().unwrap(),
        places: vec!["DE".parse().unwrap()],
        transfer: Transfer::Within,
        categories: Set::of(&[Category::Contract]),
        columns: BTreeMap::new(),
        dpia_current: Vec::new(),
        reviewers: Vec::new(),
    }
}

/// Gates under the packs that come along, each changed.
pub(crate) fn gates_with(
    purposes: &str,
    declared: Declared,
    change: impl Fn(&str, &str) -> String,
) -> Gates {
    let pack = |(name, text): &(&str, &str)| Pack::parse(&change(name, text)).unwrap();
    let packs = vendored::PACKS.iter().map(pack).collect();
    let purposes = Purposes::parse(purposes).unwrap();
    Gates::new(Rulebook::new(packs, purposes).unwrap(), declared)
}

/// Gates under the packs that come along.
pub(crate) fn gates() -> Gates {
    gates_with(&purposes(), declared(), |_, text| text.to_owned())
}

/// A decision that allows scores.
pub(crate) fn allowed_to_score() -> Allowed<Score, Run> {
    let contract = Contract::parse(CONTRACT).unwrap();
    gates().score(&contract, TODAY).unwrap()
}

/// A decision that allows a release.
pub(crate) fn allowed_to_release() -> Allowed<Release, Run> {
    let mut terms = terms();
    terms.purpose = "churn.train".parse().unwrap();
    terms.customers_max = 1_000;
    let contract = Contract::parse(CONTRACT).unwrap();
    gates()
        .release(&terms, &contract, 0.5, None, TODAY)
        .unwrap()
}
