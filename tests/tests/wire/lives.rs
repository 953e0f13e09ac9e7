//! Messages about how long models are used.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Fate, Life, Succession};
use aquifer_shared::protocol::ask::CanaryRecord;
use aquifer_shared::protocol::wire::{
    ModelLife, ModelLives, ModelPlan, ModelPlans, Request, Response,
};

use super::Sample;

/// How long models are used.
pub(super) fn samples() -> Vec<Sample> {
    let models = vec![ModelLife {
        study: StudyHash([0xab; 32]),
        name: "churn".parse().expect("a name"),
        version: 2,
        life: life(),
    }];
    let told = ModelLives {
        models: models.clone(),
    };
    let end = Request::ModelEnd {
        model: "churn@2".to_owned(),
        recall: true,
        why: "drift".to_owned(),
    };
    let audited = Request::ModelAudited {
        model: "churn@2".to_owned(),
        result: CanaryRecord {
            canaries: 4_000,
            ceiling_micro: 5_110_000,
            claim_micro: 1_000_000,
            correct: 250,
            delta_pico: 1_000_000,
            falsified: 0,
            falsified_up_to_micro: 0,
            guesses: 500,
            noise_shared: 0,
            tested: 1,
            threshold: 383,
        },
    };
    let retrain = Request::ModelRetrain {
        model: "churn@2".to_owned(),
        why: "drift".to_owned(),
    };
    let planned = ModelPlans { models: plans() };
    vec![
        Sample::of("model-lives", &told),
        Sample::of("request.model-use", &Request::ModelUse("churn".to_owned())),
        Sample::of("request.model-end", &end),
        Sample::of("request.model-audited", &audited),
        Sample::of("request.model-lives", &Request::ModelLives),
        Sample::of("response.model-lives", &Response::ModelLives(models)),
        Sample::of("model-plans", &planned),
        Sample::of("request.model-retrain", &retrain),
        Sample::of("request.model-plans", &Request::ModelPlans),
        Sample::of("response.model-plans", &Response::ModelPlans(plans())),
    ]
}

/// One of each kind.
fn plans() -> Vec<ModelPlan> {
    let at = Timestamp(1_806_000_000_000);
    let all = [
        Succession::Unplanned,
        Succession::Scheduled(at),
        Succession::Proposed(at),
        Succession::Ended(at),
        Succession::Superseded { version: 3, at },
    ];
    let plan = |succession| ModelPlan {
        study: StudyHash([0xab; 32]),
        succession,
    };
    all.map(plan).to_vec()
}

fn life() -> Life {
    Life {
        retire_by: Timestamp(1_807_776_000_000),
        fate: Fate::Retired,
        since: Timestamp(1_801_000_000_000),
    }
}
