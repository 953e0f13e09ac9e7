//! `aquifer nodes`: units and people, and who is connected.

use aquifer_shared::protocol::ask::{NodeEntry, Request, Response};
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};

use crate::client::{Session, not_expected, now};
use crate::show::{duration, moment, node_json};

/// Lists units and people.
///
/// # Errors
///
/// The coordinator cannot be asked.
pub(crate) async fn run(session: &Session) -> anyhow::Result<Outcome> {
    let nodes = match session.ask(Request::Nodes).await? {
        Response::Nodes(nodes) => nodes,
        other => return not_expected(other, session.json),
    };
    if session.json {
        report::print_json(&nodes.iter().map(node_json).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        "NAME",
        "ROLE",
        "STATE",
        "LAST SEEN",
        "CERTIFICATE UNTIL",
        "LEDGER",
        "SOFTWARE",
    ]);
    for node in &nodes {
        let plain = |text: String| (text, Tone::Plain);
        table.toned_row([
            plain(node.name.to_string()),
            plain(node.role.to_string()),
            state(node),
            plain(last_seen(node)),
            plain(moment(node.certificate_until)),
            plain(node.ledger_seq.to_string()),
            plain(node.software.clone()),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

fn state(node: &NodeEntry) -> (String, Tone) {
    let (text, tone) = match (node.revoked, node.connected) {
        (true, _) => ("revoked", Tone::Bad),
        (false, true) => ("connected", Tone::Good),
        (false, false) if node.certificate_until <= now() => ("expired", Tone::Bad),
        (false, false) => ("away", Tone::Warning),
    };
    (text.to_owned(), tone)
}

fn last_seen(node: &NodeEntry) -> String {
    if node.last_seen.0 == 0 {
        return "never".to_owned();
    }
    format!("{} ago", duration(now().since_ms(node.last_seen)))
}
