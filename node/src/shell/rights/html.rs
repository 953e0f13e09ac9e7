//! An access pack as a page: headings, tables with captions, no script, nothing fetched; the same bytes for the same pack.

use std::fmt::Write as _;

use serde_json::Value;

use super::pack::{Bound, Pack};
use crate::core::rights::Kind;

/// The page.
///
/// # Privacy
///
/// As [`Pack`].
#[must_use]
pub(super) fn page(pack: &Pack) -> String {
    let mut out = String::from(HEAD);
    let _ = write!(
        out,
        "<h1>What this unit keeps about you for studies</h1>\n<p>Made at {}. The unit is in {}.</p>\n",
        escaped(&pack.made_at),
        escaped(&pack.controller)
    );
    bound(&mut out, pack);
    purposes(&mut out, pack);
    said(&mut out, pack);
    runs(&mut out, pack);
    scores(&mut out, pack);
    list(&mut out, "How long what is kept", &pack.retention);
    list(&mut out, "What you may ask for", &pack.rights);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn bound(out: &mut String, pack: &Pack) {
    let bounds = &pack.bound;
    heading(out, "What could be learned about you");
    let line = |name: &str, own: &Bound| {
        let epsilon = own.epsilon.map_or("none".to_owned(), |own| own.to_string());
        vec![name.to_owned(), epsilon, own.meaning.clone()]
    };
    let lines = [
        line("last 365 days", &bounds.year),
        line("all time", &bounds.all_time),
    ];
    let caption = format!("Bound on everything together, at delta {}", bounds.delta);
    table(
        out,
        &caption,
        &["Time", "Epsilon at most", "In plain words"],
        lines,
    );
    items(out, &bounds.assumptions);
}

fn purposes(out: &mut String, pack: &Pack) {
    heading(out, "What your record may be used for");
    let lines = pack.purposes.iter().map(|own| {
        vec![
            format!("{} ({})", own.title, own.id),
            own.description.clone(),
            own.basis.clone().unwrap_or_else(|| "none declared".into()),
            own.consent.clone(),
            own.blocked.clone(),
            yes(own.eligible),
        ]
    });
    let names = [
        "Purpose",
        "What for",
        "Basis",
        "Consent",
        "Blocked",
        "Used from now on",
    ];
    table(out, "Purposes and how you stand to them", &names, lines);
}

fn said(out: &mut String, pack: &Pack) {
    heading(out, "What you said");
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or("").to_owned();
    let lines = pack.events.iter().map(|event| {
        let notice = &event["notice"];
        let notice = match notice["id"].as_str() {
            Some(id) => format!("{id} {}", notice["version"]),
            None => String::new(),
        };
        vec![
            text(event, "event_at"),
            text(event, "kind"),
            text(event, "purpose"),
            notice,
            text(event, "recorded_at"),
        ]
    });
    let names = ["When", "What", "About", "Text shown", "Written down"];
    table(out, "Consents, objections and withdrawals", &names, lines);
}

fn runs(out: &mut String, pack: &Pack) {
    heading(out, "Studies and answers");
    out.push_str(
        "<p>Your record was eligible for these, so it may have contributed. Whether it did is not kept.</p>\n",
    );
    let lines = pack.runs.iter().map(|own| {
        let kind = match own.kind {
            Kind::Train => "model",
            Kind::Query => "answers",
        };
        vec![
            format!("{} ({kind})", own.name),
            own.purpose.clone(),
            format!("{} to {}", own.first_at, own.last_at),
            own.sums.to_string(),
            own.epsilon.map_or("none".to_owned(), |own| own.to_string()),
            own.model_used_until.as_ref().map_or_else(
                || own.result.to_owned(),
                |until| format!("{}; its model is used until {until} at most", own.result),
            ),
            own.recipients.join(", "),
            own.eligibility.to_owned(),
        ]
    });
    let names = [
        "Study",
        "Purpose",
        "Time",
        "Sums",
        "Epsilon at most",
        "Result",
        "Who got noisy sums",
        "Eligibility",
    ];
    table(out, "May have contributed to", &names, lines);
}

fn scores(out: &mut String, pack: &Pack) {
    heading(out, "Scores");
    let Some(scores) = &pack.scores else {
        out.push_str("<p>No file of scores was looked through.</p>\n");
        return;
    };
    let names: Vec<&str> = scores.first().map_or(Vec::new(), |first| {
        first.0.keys().map(String::as_str).collect()
    });
    let lines = scores.iter().map(|line| line.0.values().cloned().collect());
    table(
        out,
        "Scores of you, and what moved them most",
        &names,
        lines,
    );
}

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "<h2>{}</h2>", escaped(text));
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    heading(out, title);
    items(out, lines);
}

fn items(out: &mut String, lines: &[String]) {
    out.push_str("<ul>\n");
    for line in lines {
        let _ = writeln!(out, "<li>{}</li>", escaped(line));
    }
    out.push_str("</ul>\n");
}

fn table(
    out: &mut String,
    caption: &str,
    names: &[&str],
    lines: impl IntoIterator<Item = Vec<String>>,
) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    let _ = write!(
        out,
        "<table>\n<caption>{}</caption>\n<thead><tr>",
        escaped(caption)
    );
    for name in names {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(name));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for line in lines {
        out.push_str("<tr>");
        for (place, cell) in line.iter().enumerate() {
            let _ = match place {
                0 => write!(out, "<th scope=\"row\">{}</th>", escaped(cell)),
                _ => write!(out, "<td>{}</td>", escaped(cell)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn yes(truth: bool) -> String {
    if truth { "yes" } else { "no" }.to_owned()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter => out.push(letter),
        }
    }
    out
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
<title>What this unit keeps about you for studies</title>\n\
<style>body{font:1rem/1.5 sans-serif;margin:auto;max-width:72rem;padding:1rem;color:#111;background:#fff}\
table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;font-weight:bold}\
th,td{border:1px solid #555;padding:.3rem .5rem;text-align:left;vertical-align:top}</style>\n\
</head>\n<body>\n<main>\n";
