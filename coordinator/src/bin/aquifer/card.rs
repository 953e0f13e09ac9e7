//! A model's card as text: what was promised to customers, how good it is, and every curve with a plot.

use std::fmt::Write;

use aquifer_shared::domain::predictor::model::{
    Card, ModelError, ModelFile, Privacy, QualityCard, day,
};
use aquifer_shared::domain::predictor::prediction::{CurveLine, Predictor};
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::shell::report::{Table, printable};

use crate::show::moment;

/// The whole card.
///
/// # Errors
///
/// A file whose curves cannot be read; one that was parsed has none.
pub(crate) fn text(file: &ModelFile) -> Result<String, ModelError> {
    let mut card = summary(file);
    card.push_str("\nassumed, not measured:\n");
    for assumption in &file.privacy().assumptions {
        line(&mut card, &format!("  - {assumption}"));
    }
    if let Some(quality) = &file.card().quality {
        card.push_str("\npredicted and observed rate, from low to high scores (noisy):\n");
        card.push_str(&reliability(quality));
    }
    let curves = curves(&Predictor::of(file)?, file);
    let reach = reach(&curves);
    card.push_str(
        "\nwhat each feature adds, in log-odds relative to the average customer\n\
         (± is noise and sampling, approximate; customers are noisy counts)\n",
    );
    for (name, lines) in &curves {
        line(&mut card, &format!("\n{name}"));
        let mut table = Table::new(&["  VALUE", "LOG-ODDS", "±", "CUSTOMERS", "PLOT"]);
        for own in lines {
            table.row([
                format!("  {}", own.value),
                format!("{:+.3}", own.log_odds),
                format!("{:.3}", own.deviation),
                format!("{:.0}", own.customers),
                bar(own.log_odds, reach),
            ]);
        }
        card.push_str(&table.to_text());
    }
    Ok(card)
}

/// The card's facts without curves.
pub(crate) fn summary(file: &ModelFile) -> String {
    let mut text = String::new();
    for (term, value) in facts(file) {
        line(&mut text, &format!("{term:<14} {value}"));
    }
    text
}

fn retire_by(card: &Card) -> String {
    let day = day(card.last_use());
    format!("{day}: no prediction is made with it afterwards")
}

/// Facts of a model, one per line.
pub(crate) fn facts(file: &ModelFile) -> Vec<(&'static str, String)> {
    let (card, privacy, model) = (file.card(), file.privacy(), file.model());
    let mut facts = vec![
        (
            "model",
            format!(
                "{}@{}, made {}",
                card.name,
                card.version,
                moment(card.created)
            ),
        ),
        ("retire by", retire_by(card)),
        ("predicts", format!("the probability of {}", model.label)),
        ("purpose", card.purpose.to_string()),
        (
            "contract",
            format!("{}, {}", card.contract, model.contract_hash),
        ),
        (
            "study",
            format!("{}, {} residual rounds", card.study, card.rounds),
        ),
        (
            "learnt from",
            format!(
                "about {:.0} customers at {} nodes",
                card.customers_estimate, privacy.nodes
            ),
        ),
        ("privacy", privacy.sentence()),
        ("trust", trust(privacy)),
        ("nodes", nodes(privacy)),
        (
            "price",
            format!(
                "rho {}; one node charged a customer {} micro-rho at most",
                privacy.rho, privacy.urho
            ),
        ),
    ];
    if let (Some(epsilon), Some(rho)) = (&privacy.floor_epsilon, &privacy.floor_rho) {
        let delta = &privacy.delta;
        let text = format!(
            "epsilon {epsilon} at delta {delta} (rho {rho}) if more nodes collude or the encryption between them breaks"
        );
        facts.push(("floor", text));
    }
    match &card.quality {
        Some(quality) => facts.push(("quality", quality_text(quality))),
        None => {
            let reason = card.quality_reason.as_deref();
            let reason = reason.unwrap_or("too little data to tell");
            facts.push(("quality", format!("no figure: {reason}")));
        }
    }
    if let (Some(_), Some(reason)) = (&card.quality, &card.quality_reason) {
        facts.push(("gate", reason.clone()));
    }
    if !card.warnings.is_empty() {
        facts.push(("warnings", card.warnings.join(", ")));
    }
    facts.push(("model hash", file.model_hash().to_string()));
    facts
}

/// The curves by feature: its name and one line per bin.
pub(crate) fn curves(predictor: &Predictor, file: &ModelFile) -> Vec<(String, Vec<CurveLine>)> {
    let names = file
        .model()
        .features
        .iter()
        .map(|feature| feature.name.clone());
    names
        .enumerate()
        .map(|(index, name)| (name, predictor.curve(index)))
        .collect()
}

/// The largest contribution of any bin, for the scale of plots.
pub(crate) fn reach(curves: &[(String, Vec<CurveLine>)]) -> f64 {
    let all = curves.iter().flat_map(|(_, lines)| lines);
    all.map(|own| own.log_odds.abs())
        .fold(f64::MIN_POSITIVE, f64::max)
}

/// The trust mode, and who need not be honest.
fn trust(privacy: &Privacy) -> String {
    match privacy.mode {
        TrustMode::NodeNoise => {
            "node-noise: the coordinator and all other nodes may collude".to_owned()
        }
        TrustMode::SharedNoise => {
            let (colluders, honest) = (privacy.colluders_max, privacy.honest);
            let of = of_group(privacy);
            format!(
                "shared-noise: the coordinator and up to {colluders}{of} may collude; {honest} honest noise shares suffice"
            )
        }
    }
}

/// Roster, tolerated absence, and how many were in the sums.
fn nodes(privacy: &Privacy) -> String {
    let (all, absent, of) = (privacy.nodes, privacy.absent_max, of_group(privacy));
    let survivors = match privacy.survivors() {
        Some((fewest, most)) if fewest == most => format!("every sum holds {most} of {all}"),
        Some((fewest, most)) => format!("sums hold {fewest} to {most} of {all}"),
        None => "no sum was released".to_owned(),
    };
    format!("{all} in the roster, up to {absent}{of} may be absent; {survivors}")
}

fn of_group(privacy: &Privacy) -> String {
    match privacy.groups.len() {
        0 | 1 => String::new(),
        groups => format!(" of each of {groups} groups"),
    }
}

fn quality_text(quality: &QualityCard) -> String {
    format!(
        "AUC {:.3} ± {:.3}, log-loss {:.4} ± {:.4}, calibration {:+.4} ± {:.4}, about {:.0} customers held out (private; ± is noise)",
        quality.auc,
        quality.auc_sd,
        quality.log_loss,
        quality.log_loss_sd,
        quality.calibration,
        quality.calibration_sd,
        quality.customers,
    )
}

fn reliability(quality: &QualityCard) -> String {
    let rate =
        |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{:.1} %", 100.0 * rate));
    let mut table = Table::new(&["  CUSTOMERS", "PREDICTED", "OBSERVED"]);
    for group in &quality.reliability {
        table.row([
            format!("  {:.0}", group.customers),
            rate(group.predicted),
            rate(group.observed),
        ]);
    }
    table.to_text()
}

/// A bar to the left of the axis for less, to the right for more.
fn bar(value: f64, reach: f64) -> String {
    let eighths = (value.abs() / reach * (8 * HALF) as f64).round() as usize;
    let eighths = eighths.min(8 * HALF);
    if value < 0.0 {
        let full = eighths.div_ceil(8);
        return format!("{}{}│", " ".repeat(HALF - full), "█".repeat(full));
    }
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}│{}{part}", " ".repeat(HALF), "█".repeat(eighths / 8))
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{}", printable(line)).expect("a String takes every text");
}

/// Characters on each side of a plot's axis.
const HALF: usize = 16;

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::predictor::model::SumRecord;
    use aquifer_shared::shell::noise::epsilon;

    use super::*;

    #[track_caller]
    fn check_bar(value: f64, expected: &str) {
        assert_eq!(bar(value, 2.0).trim(), expected);
    }

    #[test]
    fn bars_start_at_the_axis() {
        check_bar(0.0, "│");
        check_bar(2.0, "│████████████████");
        check_bar(-2.0, "████████████████│");
        check_bar(-1e-3, "│");
        check_bar(-0.1, "█│");
        check_bar(1.0 / 16.0, "│▌");
        check_bar(9.0, "│████████████████");
    }

    #[test]
    fn the_facts_of_shared_noise_name_tolerances_survivors_and_floor() {
        let terms = crate::fixtures::expanded(8, "").terms;
        let record = |updates| SumRecord {
            attempts: 1,
            updates,
            cells: &[],
        };
        let sums = [8, 6, 7, 8, 8, 8, 8, 8, 8, 8].map(record);
        let privacy = Privacy::of(&terms, &sums, epsilon).unwrap();
        assert_eq!(
            trust(&privacy),
            "shared-noise: the coordinator and up to 1 may collude; 5 honest noise shares suffice"
        );
        assert_eq!(
            nodes(&privacy),
            "8 in the roster, up to 2 may be absent; sums hold 6 to 8 of 8"
        );
        let floor = privacy.floor_epsilon.unwrap().parse::<f64>().unwrap();
        assert!(floor > 2.0 * 4.0 && floor < 5.0 * 4.0, "{floor}");
    }

    #[test]
    fn the_card_states_privacy_quality_and_every_curve() {
        let (file, _) = crate::fixtures::finished();
        let text = text(&file).unwrap();
        for expected in [
            "churn@1",
            "epsilon 4.0000 at delta",
            "assumed, not measured:",
            "\ntenure",
            "\nplan",
            "missing",
            "AUC 0.",
            "node-noise: the coordinator and all other nodes may collude",
            "2 in the roster, up to 0 may be absent; every sum holds 2 of 2",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
        let page = crate::card_page::page(&file).unwrap();
        assert!(page.contains("<h1>churn@1</h1>") && page.contains("<svg"));
        assert_eq!(page.matches("<tr>").count(), page.matches("</tr>").count());
    }
}
