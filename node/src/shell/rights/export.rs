//! An access pack as CSV: one line for each fact, for another program to read.

use serde_json::Value;

use super::pack::Pack;

/// `section,item,field,value`.
///
/// # Errors
///
/// A fact that is no text; there is none.
///
/// # Privacy
///
/// As [`Pack`].
pub(super) fn csv(pack: &Pack) -> anyhow::Result<String> {
    let value = serde_json::to_value(pack)?;
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(["section", "item", "field", "value"])?;
    let sections = value.as_object().into_iter().flatten();
    for (section, value) in sections {
        match value {
            Value::Array(items) => {
                for (number, item) in (1..).zip(items) {
                    each(&mut out, (section, &format!("{number}")), "", item)?;
                }
            }
            value => each(&mut out, (section, ""), "", value)?,
        }
    }
    Ok(String::from_utf8(out.into_inner()?)?)
}

fn each(
    out: &mut csv::Writer<Vec<u8>>,
    place: (&str, &str),
    field: &str,
    value: &Value,
) -> anyhow::Result<()> {
    let below = |name: &str| match field {
        "" => name.to_owned(),
        field => format!("{field}.{name}"),
    };
    let text = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                each(out, place, &below(name), value)?;
            }
            return Ok(());
        }
        Value::Array(items) => {
            for (number, value) in (1..).zip(items) {
                each(out, place, &below(&format!("{number}")), value)?;
            }
            return Ok(());
        }
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other => other.to_string(),
    };
    out.write_record([place.0, place.1, field, &text])?;
    Ok(())
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}
