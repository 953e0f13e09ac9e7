//! What messages can say at all: every field of every message by name, and for those that reach the coordinator what it holds.

use std::collections::BTreeSet;

use aquifer_shared::base::ids::{Hash32, Role};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::protocol::ask::{
    Answer, AnswerColumn, AnswerKind, AnswerValue, Ask, Look, Objection, ReleaseLine, Request,
    Response, TokenEntry,
};
use aquifer_shared::protocol::chain::Head;
use serde_json::{Value, to_value};

use super::{inner, samples};

/// Paths to all values, as `update.cells[]`; of variants the name is a part of the path.
fn paths(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| paths(&format!("{path}.{name}"), value, found)),
        Value::Array(items) => items
            .iter()
            .for_each(|item| paths(&format!("{path}[]"), item, found)),
        _ => drop(found.insert(path.to_owned())),
    }
}

/// Requests and responses that have no golden bytes.
fn others() -> Vec<(&'static str, Value)> {
    let name = || "north".parse().unwrap();
    let ask = Ask {
        sql: String::new(),
        purpose: name(),
        standing: Some(String::new()),
        urho: Some(1),
        request_id: Some(String::new()),
        only_stored: false,
    };
    let issue = Request::TokenIssue {
        name: name(),
        role: Role::Analyst,
        hash: Hash32([1; 32]),
        life_ms: 1,
    };
    let revoke = Request::TokenRevoke {
        owner: Some(name()),
        name: name(),
    };
    let requests = [
        Request::Ledger { from: 1 },
        Request::Ask(Box::new(ask)),
        issue,
        Request::TokenList,
        revoke,
        Request::Look(Look::Columns),
    ];
    let requests = requests.iter().map(|one| ("request", to_value(one)));
    let responses = responses();
    let responses = responses.iter().map(|one| ("response", to_value(one)));
    let all = requests.chain(responses);
    all.map(|(name, value)| (name, value.unwrap())).collect()
}

fn responses() -> [Response; 4] {
    let name = || "north".parse().unwrap();
    let line = ReleaseLine {
        study: Default::default(),
        standing: Default::default(),
        urho: 1,
        epsilon: 1.0,
        delta: 1e-6,
        stored: false,
        mode: TrustMode::NodeNoise,
        members: 3,
        updates: 3,
        data_versions: vec![name()],
        created: Timestamp(1),
    };
    let column = AnswerColumn {
        name: "n".to_owned(),
        kind: AnswerKind::Whole,
    };
    let answer = Answer {
        columns: vec![column],
        rows: vec![vec![
            AnswerValue::Whole(1),
            AnswerValue::Number(1.0),
            AnswerValue::Text(String::new()),
            AnswerValue::Truth(true),
        ]],
        notices: vec![String::new()],
        release: Some(line),
    };
    let objection = Objection {
        sqlstate: String::new(),
        message: String::new(),
        hint: String::new(),
        position: Some(1),
        rule: Some(String::new()),
    };
    let token = TokenEntry {
        owner: name(),
        name: name(),
        role: Role::Analyst,
        issued: Timestamp(1),
        expires: Timestamp(1),
        good: true,
    };
    let ledger = Response::Ledger {
        links: vec![vec![1]],
        head: Head::default(),
        signature: vec![1],
    };
    [
        ledger,
        Response::Answer(Box::new(answer)),
        Response::Objection(Box::new(objection)),
        Response::Tokens(vec![token]),
    ]
}

/// Does not compile once there is a request that no list above has.
fn is_listed(request: &Request) -> bool {
    use Request as R;
    match request {
        R::StudySubmit { .. }
        | R::StudyApprove { .. }
        | R::StudyList
        | R::StudyShow(_)
        | R::StudyWatch(_)
        | R::StudyAbort(_)
        | R::ModelList
        | R::ModelFetch(_)
        | R::ModelSums(_)
        | R::ModelRelease { .. }
        | R::ModelUse(_)
        | R::ModelEnd { .. }
        | R::ModelAudited { .. }
        | R::ModelLives
        | R::ModelRetrain { .. }
        | R::ModelPlans
        | R::Nodes
        | R::ContractShow(_)
        | R::Renew { .. }
        | R::Ledger { .. }
        | R::Ask(_)
        | R::TokenIssue { .. }
        | R::TokenList
        | R::TokenRevoke { .. }
        | R::Look(_)
        | R::History(_) => true,
    }
}

/// Of all messages, and of what is encoded within them.
fn all_paths() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for sample in samples::all() {
        let kind = sample.name.split('.').next().unwrap();
        paths(kind, &sample.fields, &mut found);
    }
    for (name, value) in inner::fields().into_iter().chain(others()) {
        paths(name, &value, &mut found);
    }
    found
}

/// Words of a path: `TokenIssue.life_ms` has four.
fn words(path: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in path.chars() {
        if !letter.is_ascii_lowercase() {
            words.push(String::new());
        }
        if letter.is_ascii_alphabetic() {
            words.last_mut().unwrap().push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Names of fields that could tell one customer from another.
const OF_ONE_CUSTOMER: [&str; 25] = [
    "account",
    "address",
    "birth",
    "birthday",
    "card",
    "client",
    "contact",
    "customer",
    "customers",
    "device",
    "email",
    "household",
    "iban",
    "mail",
    "msisdn",
    "ordinal",
    "passport",
    "person",
    "persons",
    "phone",
    "reference",
    "ssn",
    "subject",
    "subjects",
    "user",
];

/// Fields with such a word that are about no single customer.
const ABOUT_NOBODY: [&str; 2] = [
    // Most customers that a unit declares, signed before anything is counted.
    "terms.customers_max",
    // Whether the unit's policy or somebody at the unit decided.
    "entry-reserve.by_person",
];

#[test]
fn a3_no_id_shaped_field() {
    assert!(is_listed(&Request::Nodes));
    let shaped = |path: &String| {
        let words = words(path);
        let found = words.iter().any(|word| OF_ONE_CUSTOMER.contains(&&**word));
        found && !ABOUT_NOBODY.contains(&path.as_str())
    };
    let found = all_paths();
    assert!(found.len() > 150, "only {} fields", found.len());
    let shaped: Vec<_> = found.iter().filter(|path| shaped(path)).collect();
    assert!(shaped.is_empty(), "{shaped:?}");
    for refused in [
        "update.SubjectRef[]",
        "hello.customer_id",
        "entry-spend.persons",
    ] {
        let words = words(refused);
        let caught = words.iter().any(|word| OF_ONE_CUSTOMER.contains(&&**word));
        assert!(caught, "{refused}");
    }
}

/// What a node tells the coordinator, field by field: what it holds, and where. A new field has no place here until somebody has said
/// what it holds; a number of customers has none.
const TOLD: [(&str, &[&str]); 12] = [
    (
        "a sum of customers with noise, charged before it left",
        &["update.cells[]"],
    ),
    (
        "shares of such a sum, uniform for whoever lacks the others, and sums of shares",
        &["opening.elements[]", "shares.records[].record[]"],
    ),
    (
        "a word of a closed list, or a name that the unit declares",
        &[
            "decision.verdict",
            "entry-close.outcome",
            "entry-return.reason",
            "entry-spend.part",
            "goodbye.reason",
            "hello.data_version",
            "hello.software",
            "join.name",
            "refusal.code",
        ],
    ),
    (
        "a word of a closed list, then the number that belongs to it: a price, an attempt, a place in the roster, a rule",
        &["decision.verdict.Refused[]", "refusal.detail"],
    ),
    (
        "a price, or what it follows from; all in signed terms",
        &[
            "entry-reserve.parts.everyone",
            "entry-reserve.parts.holdout",
            "entry-reserve.parts.training",
            "entry-spend.delta_sq",
            "entry-spend.honest",
            "entry-spend.multiplicity",
            "entry-spend.sigma_share",
            "entry-spend.urho",
            "entry-write-off.lost.floor",
            "entry-write-off.lost.urho",
        ],
    ),
    (
        "a place in the roster, a version, a round, an attempt, a position of a ledger",
        &[
            "advert.index",
            "advert.ledger.seq",
            "cannot.dealers[]",
            "confirm.dealers[]",
            "entry-close.attempt",
            "entry-close.round",
            "entry-peer-marks.dealt[]",
            "entry-peer-marks.stood[][]",
            "entry-peer-marks.stood[][].seq",
            "entry-reserve.by_person",
            "entry-spend.attempt",
            "entry-spend.round",
            "entry-write-off.common",
            "entry-write-off.given_up[].seq",
            "hello.ledger_seq",
            "hello.protocol",
            "shares.records[].index",
        ],
    ),
    (
        "a time",
        &[
            "cosigned.seconds",
            "entry-close.at",
            "entry-decline.at",
            "entry-hold.at",
            "entry-peer-marks.at",
            "entry-reserve.at",
            "entry-return.at",
            "entry-spend.at",
            "entry-write-off.at",
        ],
    ),
    (
        "a size or a root of the coordinator's own history; a checkpoint of the unit's, padded to a public size",
        &[
            "cosigned.root[]",
            "cosigned.size",
            "log-seen.root[]",
            "log-seen.size",
            "node-head.note",
        ],
    ),
    (
        "a hash of public terms, or of what was sent",
        &[
            "advert.attempt[]",
            "advert.ledger.hash[]",
            "advert.task[]",
            "cannot.attempt[]",
            "confirm.attempt[]",
            "confirm.roster[]",
            "decision.study[]",
            "entry-close.study[]",
            "entry-decline.study[]",
            "entry-peer-marks.stood[][].hash[]",
            "entry-peer-marks.study[]",
            "entry-return.study[]",
            "entry-spend.pays.Shares[]",
            "entry-spend.pays.Update[]",
            "entry-spend.study[]",
            "entry-spend.task[]",
            "entry-write-off.given_up[].hash[]",
            "hello.ledger_head[]",
            "opening.attempt[]",
            "refusal.attempt[]",
            "refusal.study[]",
            "shares.attempt[]",
            "shares.roster[]",
            "update.attempt[]",
            "update.task[]",
        ],
    ),
    (
        "the digest of the unit's program, by its own word",
        &["hello.program[]"],
    ),
    (
        "a key, a signature, a secret of a ticket, a request for a certificate",
        &[
            "advert.key[]",
            "advert.signature[]",
            "confirm.signature[]",
            "cosigned.signature[]",
            "entry-hold.approvals[].key[]",
            "entry-hold.approvals[].signature[]",
            "entry-reserve.approvals[].key[]",
            "entry-reserve.approvals[].signature[]",
            "entry-reserve.split[]",
            "join.csr[]",
            "join.identity[]",
            "join.secret[]",
            "join.signature[]",
            "ledger-copy.signature[]",
            "opening.signature[]",
            "renew.csr[]",
            "update.signature[]",
        ],
    ),
    (
        "signed terms; entries of the ledger, which are listed here too",
        &[
            "entry-hold.terms[]",
            "entry-reserve.terms[]",
            "ledger-copy.links[][]",
        ],
    ),
];

/// Messages of nodes, and what is in a copy of a ledger.
const OF_NODES: [&str; 14] = [
    "advert",
    "cannot",
    "confirm",
    "cosigned",
    "decision",
    "goodbye",
    "hello",
    "join",
    "ledger-copy",
    "log-seen",
    "node-head",
    "opening",
    "refusal",
    "renew",
];

fn is_of_nodes(path: &str) -> bool {
    let kind = path.split(['.', '[']).next().unwrap();
    let further = ["shares", "update"].contains(&kind) || kind.starts_with("entry-");
    further || OF_NODES.contains(&kind)
}

/// That what is listed does not depend on customers but in sums is shown at the node, where neighbours are compared.
#[test]
fn a4_no_exact_count_in_coordinator() {
    let found: BTreeSet<String> = all_paths()
        .into_iter()
        .filter(|path| is_of_nodes(path))
        .collect();
    let told = TOLD.iter().flat_map(|(_, paths)| paths.iter());
    let told: BTreeSet<String> = told.map(|path| (*path).to_owned()).collect();
    let unknown: Vec<_> = found.difference(&told).collect();
    assert!(
        unknown.is_empty(),
        "nobody has said what they hold: {unknown:?}"
    );
    let gone: Vec<_> = told.difference(&found).collect();
    assert!(gone.is_empty(), "no message has them: {gone:?}");
    let listed: usize = TOLD.iter().map(|(_, paths)| paths.len()).sum();
    assert_eq!(listed, told.len(), "each is listed once");
}
