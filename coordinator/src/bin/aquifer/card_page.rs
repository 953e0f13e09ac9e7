//! A model's card as one HTML page without scripts: for people who get it by mail or print it.

use std::fmt::Write;

use aquifer_shared::domain::predictor::model::{ModelError, ModelFile};
use aquifer_shared::domain::predictor::prediction::{CurveLine, Predictor};

use crate::card::{curves, facts, reach};

/// The page.
///
/// # Errors
///
/// A file whose curves cannot be read; one that was parsed has none.
pub(crate) fn page(file: &ModelFile) -> Result<String, ModelError> {
    let card = file.card();
    let title = escape(&format!("{}@{}", card.name, card.version));
    let mut body = format!("<h1>{title}</h1>\n<table>\n");
    for (term, value) in facts(file) {
        push(
            &mut body,
            format_args!("<tr><th>{term}</th><td>{}</td></tr>\n", escape(&value)),
        );
    }
    body.push_str("</table>\n<h2>Assumed, not measured</h2>\n<ul>\n");
    for assumption in &file.privacy().assumptions {
        push(&mut body, format_args!("<li>{}</li>\n", escape(assumption)));
    }
    body.push_str(
        "</ul>\n<h2>What each feature adds</h2>\n<p>In log-odds, relative to the average customer. Whiskers: one standard \
         deviation of noise and sampling, approximate. Customers are noisy counts.</p>\n",
    );
    let curves = curves(&Predictor::of(file)?, file);
    let reach = reach(&curves);
    for (name, lines) in &curves {
        push(
            &mut body,
            format_args!("<h3>{}</h3>\n<table class=\"curve\">\n", escape(name)),
        );
        lines
            .iter()
            .for_each(|line| push_line(&mut body, line, reach));
        body.push_str("</table>\n");
    }
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body>\n{body}</body>\n</html>\n"
    ))
}

fn push_line(body: &mut String, line: &CurveLine, reach: f64) {
    let scale = |value: f64| HALF + (value / reach).clamp(-1.0, 1.0) * HALF;
    let (zero, end) = (HALF, scale(line.log_odds));
    let (low, high) = (
        scale(line.log_odds - line.deviation),
        scale(line.log_odds + line.deviation),
    );
    let class = if line.log_odds < 0.0 { "less" } else { "more" };
    let width = 2.0 * HALF;
    push(
        body,
        format_args!(
            "<tr><td>{}</td><td class=\"n\">{:+.3}</td><td class=\"n\">{:.0}</td><td><svg width=\"{width}\" height=\"14\">\
             <line x1=\"{zero}\" y1=\"0\" x2=\"{zero}\" y2=\"14\"/><rect class=\"{class}\" x=\"{:.1}\" y=\"2\" width=\"{:.1}\" height=\"10\"/>\
             <line x1=\"{low:.1}\" y1=\"7\" x2=\"{high:.1}\" y2=\"7\"/></svg></td></tr>\n",
            escape(&line.value),
            line.log_odds,
            line.customers,
            zero.min(end),
            (end - zero).abs(),
        ),
    );
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("a String takes every text");
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Pixels on each side of a plot's axis.
const HALF: f64 = 120.0;
const STYLE: &str = "body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}th{text-align:left;vertical-align:top;\
    padding-right:1em;white-space:nowrap}td{overflow-wrap:anywhere}.curve td{padding:0 1em 0 0}.n{text-align:right}line{stroke:#555}\
    .more{fill:#c7743c}.less{fill:#3c7fc7}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(
            escape("<b>\"A&B\"</b>"),
            "&lt;b&gt;&quot;A&amp;B&quot;&lt;/b&gt;"
        );
    }
}
