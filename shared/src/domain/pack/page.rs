//! The report as one page for people: tables with headings, no script, nothing from elsewhere.

use crate::domain::history::Json;

/// The page of a report. Made from the report alone, so that a second program can make it again.
pub(super) fn page(report: &Json) -> String {
    let title = report.get("quarter").map_or_else(String::new, cell);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Audit pack {title}</title>\n\
         <style>body{{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;line-height:1.5}}\
         table{{border-collapse:collapse}}th,td{{border:1px solid #555;padding:.2em .6em;text-align:left}}</style>\n\
         </head>\n<body>\n<main>\n<h1>Audit pack {title}</h1>\n"
    );
    if let Json::Object(fields) = report {
        for (key, value) in fields {
            section(key, value, 2, &mut out);
        }
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn section(name: &str, value: &Json, level: u32, out: &mut String) {
    let title = escaped(&name.replace('_', " "));
    out.push_str(&format!("<h{level}>{title}</h{level}>\n"));
    match value {
        Json::Object(fields) if fields.values().any(|value| matches!(value, Json::List(_))) => {
            for (key, value) in fields {
                section(key, value, level + 1, out);
            }
        }
        Json::Object(fields) if !fields.is_empty() => {
            out.push_str(&format!("<table>\n<caption>{title}</caption>\n"));
            for (key, value) in fields {
                out.push_str(&format!(
                    "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                    escaped(key),
                    cell(value)
                ));
            }
            out.push_str("</table>\n");
        }
        Json::List(rows) if !rows.is_empty() => table(&title, rows, out),
        value => out.push_str(&format!("<p>{}</p>\n", cell(value))),
    }
}

/// Objects with the same keys, one in each row.
fn table(title: &str, rows: &[Json], out: &mut String) {
    let keys: Vec<&str> = match rows.first() {
        Some(Json::Object(fields)) => fields.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let heads = keys
        .iter()
        .map(|key| format!("<th scope=\"col\">{}</th>", escaped(key)));
    out.push_str(&format!(
        "<table>\n<caption>{title}</caption>\n<tr>{}</tr>\n",
        heads.collect::<String>()
    ));
    for row in rows {
        let cells = keys
            .iter()
            .map(|key| format!("<td>{}</td>", row.get(key).map_or_else(String::new, cell)));
        out.push_str(&format!("<tr>{}</tr>\n", cells.collect::<String>()));
    }
    out.push_str("</table>\n");
}

fn cell(value: &Json) -> String {
    match value {
        Json::Text(text) => escaped(text),
        Json::Null => "none".to_owned(),
        Json::Object(fields) if fields.is_empty() => "none".to_owned(),
        Json::List(values) if values.is_empty() => "none".to_owned(),
        other => escaped(&other.to_text()),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
