//! The privacy notice, in two layers: short, then full. Every line that says something of the log names its entries.

use super::card::proposal;
use super::declared::{bases, lines as purpose_lines, newest, purposes, retention_days};
use super::lines::{Line, entries, guesses, millionths};
use super::log::{Fact, Log, NoDocument};
use super::words::forbidden;
use crate::domain::history::{Json, Kind};
use crate::domain::pack::epsilon_micro;

/// The text of all purposes that are declared now, or of one.
///
/// # Errors
///
/// The log lacks parties, purposes, or a field of them.
pub fn notice(log: &Log, purpose: Option<&str>) -> Result<String, NoDocument> {
    let parties = newest(log, "parties")?;
    let declared = purposes(log)?;
    let chosen = declared
        .iter()
        .filter(|(id, own)| own.until().is_none() && purpose.is_none_or(|named| named == *id));
    let chosen: Vec<&Fact> = chosen.map(|(_, own)| own.fact).collect();
    if chosen.is_empty() {
        return Err(NoDocument::Missing {
            what: format!("declaration of {}", purpose.unwrap_or("a purpose")),
            kind: Kind::PackLoaded,
        });
    }
    let mut out = String::from("# Privacy notice\n\n## In short\n\n");
    say(
        &mut out,
        format!(
            "{} answers for what is done with your data.",
            parties.needed_text("controller")?
        ),
        &[parties.index],
    );
    for fact in &chosen {
        say(&mut out, fact.needed_text("description")?, &[fact.index]);
    }
    say(
        &mut out,
        "Records stay where they are; sums of many people leave, with noise added.".to_owned(),
        &[],
    );
    say(
        &mut out,
        format!(
            "You may object, ask and complain: {}.",
            parties.needed_text("controller_contact")?
        ),
        &[parties.index],
    );
    out.push_str("\n## In full\n");
    who(&mut out, parties)?;
    for fact in chosen {
        of_purpose(&mut out, log, fact)?;
    }
    rights(&mut out);
    let (origin, size, root) = log.named();
    out.push_str("\n### Where this text comes from\n\n");
    let what = format!(
        "Log {origin}, {size} entries, root {root}. The text is made of it alone; the law around it needs a lawyer's review."
    );
    say(&mut out, what, &[size.saturating_sub(1)]);
    match forbidden(&out) {
        Some(word) => Err(NoDocument::Word(word)),
        None => Ok(out),
    }
}

fn who(out: &mut String, parties: &Fact) -> Result<(), NoDocument> {
    out.push_str("\n### Who answers for it\n\n");
    for (key, label) in [
        ("controller", "Controller"),
        ("controller_contact", "Contact"),
        ("dpo", "Data protection officer"),
        ("processor", "Processor"),
        ("role", "Role, as the parties declare it"),
        ("authority", "Where to complain"),
    ] {
        say(
            out,
            format!("{label}: {}.", parties.needed_text(key)?),
            &[parties.index],
        );
    }
    Ok(())
}

fn of_purpose(out: &mut String, log: &Log, fact: &Fact) -> Result<(), NoDocument> {
    let id = fact.needed_text("purpose")?;
    out.push_str(&format!("\n### {}\n\n", single_line(&id)));
    let own = [fact.index];
    for line in purpose_lines(fact)? {
        say(
            out,
            format!("{}: {}.", line.label, line.value.trim_end_matches('.')),
            &line.from,
        );
    }
    if bases(fact)?.iter().any(|one| one.basis == "consent") {
        say(
            out,
            "Where the basis is consent you may withdraw it; it counts from the next round on."
                .to_owned(),
            &[],
        );
    }
    for (key, label) in LISTS {
        let found = fact.texts(key)?;
        let found = if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        };
        say(out, format!("{label}: {found}."), &own);
    }
    say(
        out,
        format!("Source of the data: {}.", fact.needed_text("source")?),
        &own,
    );
    say(
        out,
        match retention_days(fact)? {
            Some(days) => format!("Results about persons are kept for {days} days."),
            None => "No rule in force says how long results about persons are kept.".to_owned(),
        },
        &own,
    );
    for line in releases(log, &id)? {
        say(out, format!("{}: {}.", line.label, line.value), &line.from);
    }
    Ok(())
}

/// Models of the purpose, with what their bound means.
fn releases(log: &Log, purpose: &str) -> Result<Vec<Line>, NoDocument> {
    let mut lines = Vec::new();
    for released in log.of_kind(Kind::ModelReleased) {
        let proposal = proposal(log, &released.needed_text("study")?)?;
        if proposal.text("purpose") != Some(purpose) {
            continue;
        }
        let rho = released
            .payload
            .get("disclosure")
            .and_then(|block| block.get("rho_micro")?.as_u64());
        let rho = rho.ok_or_else(|| NoDocument::Missing {
            what: format!("disclosure.rho_micro (entry {})", released.index),
            kind: Kind::ModelReleased,
        })?;
        let delta = proposal.needed_number("delta_pico")?;
        let eps = epsilon_micro(rho, delta);
        let label = format!(
            "Model {}, version {}",
            released.needed_text("model")?,
            released.needed_number("version")?
        );
        let value = format!(
            "your data may have contributed. Whoever knows everybody else's data guesses right whether they did in at most {} of \
             tries, with an even chance before (epsilon {})",
            guesses(eps, delta),
            millionths(eps)
        );
        lines.push(Line::of(
            "release",
            &label,
            value,
            &[proposal.index, released.index],
        ));
    }
    Ok(lines)
}

fn rights(out: &mut String) {
    out.push_str("\n### Your rights\n\n");
    for right in [
        "You may ask for access to your data, for their correction and erasure, for a copy, and for limits to their use; you may object.",
        "After an erasure, models that may have learned from your data are superseded by models trained without them.",
        "Answers and models that were released before a withdrawal stay as they are until then, with the bound named above.",
    ] {
        say(out, right.to_owned(), &[]);
    }
}

fn say(out: &mut String, text: String, from: &[u64]) {
    out.push_str("- ");
    out.push_str(&single_line(&text));
    if !from.is_empty() {
        out.push_str(&format!(" [log {}]", entries(from)));
    }
    out.push('\n');
}

/// Texts of the log cannot begin lines or headings of their own.
fn single_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// Lists of a declaration.
pub(super) const LISTS: [(&str, &str); 4] = [
    ("subjects", "Whose data"),
    ("categories", "Categories of data"),
    ("recipients", "Recipients"),
    ("transfers", "Transfers to other places, with the tool"),
];

/// A value of a payload as a text.
pub(super) fn or_none(fact: &Fact, key: &str) -> String {
    let found = fact.payload.get(key).and_then(Json::as_text);
    found.unwrap_or("none").to_owned()
}
