//! A document as one page for people: headings in order, tables with named rows and columns, no script, nothing from elsewhere.

use super::lines::Section;

/// The page.
pub(super) fn page(title: &str, lead: &str, sections: &[Section]) -> String {
    let title = escaped(title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <main>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escaped(lead)
    );
    for section in sections {
        out.push_str(&format!(
            "<h2>{0}</h2>\n<table>\n<caption>{0}</caption>\n<thead><tr><th scope=\"col\">Item</th>\
             <th scope=\"col\">What the log says</th><th scope=\"col\">Log entries</th></tr></thead>\n<tbody>\n",
            escaped(section.title)
        ));
        for line in &section.lines {
            let from = match line.from.is_empty() {
                true => "none: text of the product".to_owned(),
                false => line.entries(),
            };
            out.push_str(&format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{from}</td></tr>\n",
                escaped(&line.label),
                escaped(&line.value),
            ));
        }
        out.push_str("</tbody>\n</table>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Black on white: a contrast of 21 to 1.
const STYLE: &str = "body{font:1rem/1.5 sans-serif;color:#000;background:#fff;max-width:60em;margin:2em auto;padding:0 1em}\
    table{border-collapse:collapse;width:100%}th,td{border:1px solid #555;padding:.2em .6em;text-align:left;vertical-align:top;\
    overflow-wrap:anywhere}caption{text-align:left;font-weight:bold}";
