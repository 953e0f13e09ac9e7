//! What documents say of a released model beside its file: the privacy disclosure block (NIST SP 800-226), limits, figures of quality.
//!
//! Everything follows from the signed file and from what the coordinator has in its store; numbers are integers.

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::history::Json;
use aquifer_shared::domain::predictor::model::{Card, ModelFile, Privacy, day};
use aquifer_shared::domain::sum::TrustMode;

/// What a model's own file does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beside {
    /// What earlier studies of its family have cost one customer: whoever chose its constants may have looked at them.
    pub tuning: MicroRho,
}

/// Fields of `model.released`.
#[must_use]
pub fn fields(file: &ModelFile, beside: &Beside) -> Vec<(&'static str, Json)> {
    let mut fields = vec![
        ("limits", limits(file)),
        ("quality_micro", quality(file.card())),
        ("retire_by", retire_by(file.card()).into()),
        ("retire_by_ms", file.card().last_use().0.into()),
    ];
    fields.extend(block(file.privacy(), beside.tuning).map(|block| ("disclosure", block)));
    fields
}

/// The disclosure block; none where the price is beyond limits.
///
/// # Privacy
///
/// Rho is what one customer at all nodes that may hold them is charged at most, every attempt included.
fn block(privacy: &Privacy, tuning: MicroRho) -> Option<Json> {
    let copies = match privacy.mode {
        TrustMode::NodeNoise => privacy.multiplicity.into(),
        TrustMode::SharedNoise => 1,
    };
    let rho = MicroRho(privacy.urho).checked_mul(copies)?;
    let text = |text: &str| Json::from(text);
    Some(Json::object([
        ("accountant", text(ACCOUNTANT)),
        ("floating_point", text(FLOATING_POINT)),
        ("horizon", text(HORIZON)),
        ("mechanism", text(&privacy.mechanism)),
        (
            "neighbours",
            format!("{} everything of the unit", privacy.neighbours).into(),
        ),
        ("rho_micro", rho.0.into()),
        ("sampling", text(SAMPLING)),
        ("trust_model", trust(privacy).into()),
        ("tuning_rho_micro", tuning.0.into()),
        ("unit", text(&privacy.unit)),
    ]))
}

fn trust(privacy: &Privacy) -> String {
    let (nodes, colluders) = (privacy.nodes, privacy.colluders_max);
    if privacy.mode == TrustMode::NodeNoise {
        return format!(
            "each of {nodes} nodes adds the whole noise to its own update: neither the coordinator nor another node need be honest"
        );
    }
    let floor = privacy.floor_epsilon.as_deref().unwrap_or("unknown");
    format!(
        "each of {nodes} nodes adds a share of the noise, and only sums are opened: at most {colluders} of a group collude, with the \
         coordinator or without it; if more do, or the encryption between nodes breaks, epsilon is {floor}"
    )
}

/// What must be true, and what to know.
fn limits(file: &ModelFile) -> Json {
    let card = file.card();
    let scope = format!("for customers as contract {} describes them", card.contract);
    let all = std::iter::once(&scope)
        .chain(&file.privacy().assumptions)
        .chain(&card.warnings);
    let mut shown: Vec<Json> = all
        .clone()
        .take(LIMITS_MAX)
        .map(|limit| Json::from(limit.as_str()))
        .collect();
    let more = all.count().saturating_sub(LIMITS_MAX);
    if more > 0 {
        shown.push(format!("{more} more in the model's file").into());
    }
    Json::List(shown)
}

/// Figures of the private evaluation that are 0 or more, in millionths.
fn quality(card: &Card) -> Json {
    let Some(quality) = &card.quality else {
        return Json::Object(Default::default());
    };
    let figures = [
        ("auc", quality.auc),
        ("auc_deviation", quality.auc_sd),
        ("calibration_gap", quality.calibration.abs()),
        ("calibration_gap_deviation", quality.calibration_sd),
        ("log_loss", quality.log_loss),
        ("log_loss_deviation", quality.log_loss_sd),
    ];
    let shown = figures
        .into_iter()
        .filter(|(_, figure)| (0.0..=FIGURE_MAX).contains(figure));
    let shown = shown.map(|(key, figure)| {
        let micro = (figure * 1e6).round() as u64;
        (key.to_owned(), Json::from(micro))
    });
    Json::Object(shown.collect())
}

/// Public, and the same for everybody: whoever is erased has this date, and nobody need know of the erasure.
fn retire_by(card: &Card) -> String {
    let day = day(card.last_use());
    format!("{day} (UTC): no prediction is made with it afterwards, whoever was erased")
}

const ACCOUNTANT: &str = "zCDP: rho of every attempt that may have been charged adds up and is converted once (Canonne, Kamath, Steinke 2020, \
                          proposition 12)";
const FLOATING_POINT: &str =
    "contributions, sums, noise and prices are integers; epsilon is rounded up to a millionth";
const HORIZON: &str = "this study with all its attempts; other studies and questions add up in each unit's ledger, and in the spends of this log";
const SAMPLING: &str =
    "none: everybody who is eligible is in every sum, and no amplification is claimed";
const LIMITS_MAX: usize = 32;
/// Beyond any figure of a card.
const FIGURE_MAX: f64 = 9e9;

#[cfg(test)]
mod tests {
    use super::super::finished::finished;
    use super::*;

    fn file() -> ModelFile {
        finished().0
    }

    #[test]
    fn the_block_is_complete_and_in_integers() {
        let beside = Beside {
            tuning: MicroRho(7),
        };
        let said = Json::Object(
            fields(&file(), &beside)
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        );
        assert!(said.to_payload().is_ok());
        let block = said.get("disclosure").unwrap();
        for key in [
            "accountant",
            "floating_point",
            "horizon",
            "mechanism",
            "neighbours",
            "sampling",
            "trust_model",
            "unit",
        ] {
            assert!(!block.get(key).unwrap().as_text().unwrap().is_empty());
        }
        let number = |key: &str| block.get(key).unwrap().as_u64().unwrap();
        assert_eq!(number("tuning_rho_micro"), 7);
        let rho: f64 = file().privacy().rho.parse().unwrap();
        assert_eq!(number("rho_micro"), (rho * 1e6).round() as u64);
        let by = said.get("retire_by").unwrap().as_text().unwrap();
        assert!(by.starts_with("2027-04-15 (UTC)"), "{by}");
        let by = said.get("retire_by_ms").unwrap().as_u64().unwrap();
        assert_eq!(by, file().card().last_use().0);
    }

    #[test]
    fn no_text_claims_what_no_log_can_show() {
        let beside = Beside {
            tuning: MicroRho::ZERO,
        };
        for (_, value) in fields(&file(), &beside) {
            let found = aquifer_shared::domain::facts::forbidden(&value.to_text());
            assert_eq!(found, None);
        }
    }
}
