//! `aquifer nodes`: units and people, and who is connected.

use aquifer_shared::base::ids::Role;
use aquifer_shared::protocol::ask::{NodeEntry, Request, Response};
use aquifer_shared::shell::keys::fingerprint;
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};
use serde_json::json;

use crate::client::{Session, not_expected, now};
use crate::show::{duration, moment, node_json};

/// Lists units and people, or with `pins` the units as lines for node.toml.
///
/// # Errors
///
/// The coordinator cannot be asked.
pub(crate) async fn run(session: &Session, pins: bool) -> anyhow::Result<Outcome> {
    let nodes = match session.ask(Request::Nodes).await? {
        Response::Nodes(nodes) => nodes,
        other => return not_expected(other, session.json),
    };
    if pins {
        return print_pins(&nodes, session.json);
    }
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

/// The units as members to pin. Who operates them is not known here: the name stands for it until somebody asked.
fn print_pins(nodes: &[NodeEntry], json: bool) -> anyhow::Result<Outcome> {
    let units: Vec<&NodeEntry> = nodes
        .iter()
        .filter(|node| node.role == Role::Node && !node.revoked)
        .collect();
    if json {
        let pins = units.iter().map(|node| {
            json!({"name": node.name, "key": node.key.to_string(), "fingerprint": fingerprint(&node.key), "operator": node.name, "checked": false})
        });
        report::print_json(&pins.collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    report::print(&pins_text(&units))?;
    Ok(Outcome::Done)
}

fn pins_text(units: &[&NodeEntry]) -> String {
    let mut text = PINS_HEAD.to_owned();
    for node in units {
        let (name, key, short) = (&node.name, &node.key, fingerprint(&node.key));
        text.push_str(&format!(
            "\n[[member]]\nname = \"{name}\"\nkey = \"{key}\"   # fingerprint {short}\noperator = \"{name}\"   # check by voice\n"
        ));
    }
    text
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

/// What must be done before the lines are used.
const PINS_HEAD: &str = "\
# Members for node.toml, as the coordinator lists them. It could list keys of its own making, so ask each unit, by a channel
# that does not lead through it, for its key and for who operates it. The unit's name stands for the operator until then:
# one team with administrator rights is one operator, however many nodes it runs.
";

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::{IdentityKey, Name};
    use aquifer_shared::base::time::Timestamp;

    use super::*;

    fn node(name: &str, key: u8) -> NodeEntry {
        NodeEntry {
            name: name.parse().unwrap(),
            role: Role::Node,
            key: IdentityKey([key; 32]),
            connected: true,
            revoked: false,
            certificate_until: Timestamp(1),
            last_seen: Timestamp(1),
            ledger_seq: 1,
            software: "0.1.0".to_owned(),
        }
    }

    /// `[[member]]` as node.toml reads it.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pinned {
        member: Vec<Member>,
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Member {
        name: Name,
        key: String,
        operator: Name,
    }

    #[test]
    fn pins_are_lines_for_node_toml() {
        let (north, south) = (node("north", 1), node("south", 2));
        let read: Pinned = toml::from_str(&pins_text(&[&north, &south])).unwrap();
        let [first, second] = &read.member[..] else {
            panic!("two units")
        };
        assert_eq!((&first.name, &first.operator), (&north.name, &north.name));
        assert_eq!(second.key.parse::<IdentityKey>(), Ok(south.key));
    }
}
