//! A card as CycloneDX 1.6: a machine-learning model with its card, and properties of this product, each with its log entries.

use super::card::{Card, day};
use super::lines::Line;
use crate::domain::history::Json;

/// Canonical JSON. Values of properties are texts, as the format wants; budgets in them are integers.
pub(super) fn bom(card: &Card) -> String {
    let lines = || card.sections().iter().flat_map(|section| &section.lines);
    let properties = lines().flat_map(|line| {
        let name = format!("aquifer:{}", line.key);
        [
            property(&format!("{name}:entries"), &line.entries()),
            property(&name, &line.value),
        ]
    });
    let all = |key: &str| {
        let found = lines().filter(move |line: &&Line| line.key == key);
        Json::List(found.map(|line| Json::from(line.value.as_str())).collect())
    };
    let considerations = Json::object([
        ("technicalLimitations", all("limit")),
        ("useCases", all("description")),
    ]);
    let model_card = Json::object([
        ("considerations", considerations),
        ("properties", Json::List(properties.collect())),
    ]);
    let hash = Json::object([
        ("alg", "SHA-256".into()),
        ("content", card.file_sha256.as_str().into()),
    ]);
    let component = Json::object([
        ("bom-ref", format!("{}@{}", card.model, card.version).into()),
        ("hashes", Json::List(vec![hash])),
        ("modelCard", model_card),
        ("name", card.model.as_str().into()),
        ("type", "machine-learning-model".into()),
        ("version", card.version.to_string().into()),
    ]);
    let released = property("aquifer:released:entries", &card.released_index.to_string());
    let metadata = Json::object([
        ("properties", Json::List(vec![released])),
        ("timestamp", moment(card.released_ms).into()),
    ]);
    let bom = Json::object([
        (
            "$schema",
            "http://cyclonedx.org/schema/bom-1.6.schema.json".into(),
        ),
        ("bomFormat", "CycloneDX".into()),
        ("components", Json::List(vec![component])),
        ("metadata", metadata),
        ("specVersion", "1.6".into()),
        ("version", 1u32.into()),
    ]);
    bom.to_text() + "\n"
}

fn property(name: &str, value: &str) -> Json {
    Json::object([("name", name.into()), ("value", value.into())])
}

/// RFC 3339, in UTC.
fn moment(ms: u64) -> String {
    let seconds = ms / 1_000 % 86_400;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{}T{hours:02}:{minutes:02}:{:02}Z", day(ms), seconds % 60)
}
