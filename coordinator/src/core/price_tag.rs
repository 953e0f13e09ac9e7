//! The price tag of a question as it travels: what it would cost and how exact its answer would be. Public numbers only; spends
//! nothing.

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::{Answer, AnswerColumn, AnswerKind, AnswerValue};
use serde_json::json;

use super::sql::Explanation;

/// What only the coordinator knows of a question.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// Terms of the standing study.
    pub standing: &'a StudyTerms,
    /// What a customer who is at several units loses in all.
    pub quoted: MicroRho,
    /// Attempts that may be paid.
    pub attempts: u64,
    /// Whether a stored answer makes it free.
    pub stored: bool,
    /// Why it would be refused now.
    pub refused: Option<String>,
}

/// A price tag as rows of property and value, or as one JSON document where the statement asks for that.
#[must_use]
pub fn price_tag(explanation: &Explanation, around: &Surroundings<'_>, as_json: bool) -> Answer {
    let standing = around.standing;
    if as_json {
        let mut document = explanation.to_json();
        document["purpose"] = json!(standing.purpose);
        document["standing"] = json!(standing.name);
        document["delta"] = json!(standing.delta.get());
        document["rho_micro_in_all"] = json!(around.quoted.0);
        document["attempts_max"] = json!(around.attempts);
        document["stored_answer"] = json!(around.stored);
        document["refused"] = json!(around.refused);
        return answer(
            &["plan"],
            AnswerKind::Json,
            vec![vec![document.to_string()]],
        );
    }
    let stored = if around.stored { "yes: free" } else { "none" };
    let mut own = vec![
        ("purpose", standing.purpose.to_string()),
        ("standing study", standing.name.to_string()),
        ("delta", format!("{:e}", standing.delta.get())),
        ("stored answer", stored.to_owned()),
    ];
    if around.quoted != explanation.price {
        let (copies, rho) = (standing.multiplicity, around.quoted.as_rho());
        let text = format!(
            "rho {rho} for a customer at {copies} units, which is what epsilon and the release state"
        );
        own.push(("price in all", text));
    }
    if around.attempts > 1 {
        let more = around.attempts - 1;
        let text = format!("the price again, where units drop out in mid-sum; at most {more} more");
        own.push(("repeated attempts", text));
    }
    own.extend(
        around
            .refused
            .iter()
            .map(|why| ("would be refused", why.clone())),
    );
    let own = own
        .into_iter()
        .map(|(property, value)| (property.to_owned(), value));
    let lines = explanation.rows().into_iter().chain(own);
    let rows = lines.map(|(property, value)| vec![property, value]);
    answer(&["property", "value"], AnswerKind::Text, rows.collect())
}

fn answer(columns: &[&str], kind: AnswerKind, rows: Vec<Vec<String>>) -> Answer {
    let column = |name: &&str| AnswerColumn {
        name: (*name).to_owned(),
        kind,
    };
    let row = |row: Vec<String>| row.into_iter().map(AnswerValue::Text).collect();
    Answer {
        columns: columns.iter().map(column).collect(),
        rows: rows.into_iter().map(row).collect(),
        notices: Vec::new(),
        release: None,
    }
}
