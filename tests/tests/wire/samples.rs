//! One message of each kind and one of each variant, with fields that are easy to find in the bytes.

use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey, Name, Role, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::protocol::aggregation::{
    Advert, Cannot, Confirm, Delivery, MemberSet, Opening, Proof, Roster, Sealed, Shares,
    Signature64,
};
use aquifer_shared::protocol::ask::HistoryAsk;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::program::ProgramRefused;
use aquifer_shared::protocol::wire::{
    Approval, CloseReason, Cosigned, Decision, End, Goodbye, Hello, Join, JoinRejection, Joined,
    LedgerCopy, LedgerHeld, LogHead, LogQuorum, LogSeen, MemberStatus, ModelEntry, NodeEntry,
    NodeHead, NodeHeld, Offer, Refusal, RefusalCode, ReleasedSum, Renew, Renewed, Request,
    Response, RoundStatus, StudyDetail, StudyEnd, StudyOutcome, StudyState, StudyStatus,
    SumsBundle, Task, TaskBody, Update, Verdict, Welcome,
};

use super::Sample;

/// All samples: by kind, then those of secure aggregation.
pub fn all() -> Vec<Sample> {
    let mut samples = session();
    samples.extend(rounds());
    samples.extend(endings());
    samples.extend(joining());
    samples.extend(requests());
    samples.extend(responses());
    samples.extend(aggregation());
    samples.extend(aggregation_refusals());
    samples.extend(mirror());
    samples.extend(histories());
    samples.extend(programs());
    samples.extend(super::lives::samples());
    samples.push(super::budgets::sample());
    samples
}

fn programs() -> Vec<Sample> {
    let refused = ProgramRefused {
        found: Hash32([0x1e; 32]),
        expected: vec![Hash32([0x1f; 32]), Hash32([0x2f; 32])],
    };
    let goodbye = Goodbye {
        reason: CloseReason::Program,
    };
    vec![
        Sample::of("program-refused", &refused),
        Sample::of("goodbye.program", &goodbye),
    ]
}

fn histories() -> Vec<Sample> {
    let note = || "aquifer/test\n7\nroot\n\n\u{2014} aquifer/test AAAA\n".to_owned();
    let seen = LogSeen {
        size: 7,
        root: Hash32([0xa1; 32]),
    };
    let head = LogHead {
        key: IdentityKey([0x66; 32]),
        note: note(),
        from: 5,
        consistency: vec![Hash32([0xa2; 32]), Hash32([0xa3; 32])],
    };
    let cosigned = Cosigned {
        size: 7,
        root: Hash32([0xa1; 32]),
        seconds: 1_800_000_000,
        signature: vec![0x44; 64],
    };
    let prove = Request::History(HistoryAsk::Prove(7));
    let entries = Request::History(HistoryAsk::Entries(Some(3)));
    let days = Request::History(HistoryAsk::Cosigned(20_783));
    let made = Request::History(HistoryAsk::Made(7));
    let refusal = Refusal {
        attempt: AttemptId([0x22; 32]),
        study: study(),
        code: RefusalCode::History,
        detail: 0,
    };
    vec![
        Sample::of("log-seen", &seen),
        Sample::of("log-head", &head),
        Sample::of("cosigned", &cosigned),
        Sample::of("log-quorum", &LogQuorum { note: note() }),
        Sample::of("node-head", &NodeHead { note: note() }),
        Sample::of("node-held", &NodeHeld { note: note() }),
        Sample::of("refusal.history", &refusal),
        Sample::of("request.history-prove", &prove),
        Sample::of("request.history-entries", &entries),
        Sample::of("response.history", &Response::History("{}".to_owned())),
        Sample::of("request.history-cosigned", &days),
        Sample::of("request.history-made", &made),
    ]
}

fn session() -> Vec<Sample> {
    let hello = Hello {
        protocol: 1,
        software: "0.1.0".to_owned(),
        ledger_seq: 0x0102_0304_0506_0708,
        ledger_head: Hash32([0x11; 32]),
        data_version: "2026-11".parse().ok(),
        program: Hash32([0x1e; 32]),
    };
    let welcome = Welcome {
        name: name("north"),
        now: Timestamp(1_800_000_000_000),
    };
    let offer = Offer {
        terms: vec![1, 2, 3],
        approvals: vec![approval()],
    };
    vec![
        Sample::of("hello", &hello),
        Sample::of("welcome", &welcome),
        Sample::of("offer", &offer),
        Sample::of("decision.accepted", &decision(Verdict::Accepted)),
        Sample::of("decision.held", &decision(Verdict::Held)),
        Sample::of(
            "decision.refused",
            &decision(Verdict::Refused(RefusalCode::Budget, 7)),
        ),
        Sample::of(
            "decision.hold-out",
            &decision(Verdict::Refused(RefusalCode::HoldOut, 0)),
        ),
    ]
}

fn rounds() -> Vec<Sample> {
    let update = Update {
        attempt: AttemptId([0x22; 32]),
        task: Hash32([0x33; 32]),
        cells: vec![0, 1, -1, i64::MAX, i64::MIN],
        signature: vec![0x44; 64],
    };
    vec![
        Sample::of("task.counts", &task(&TaskBody::Counts)),
        Sample::of("task.residuals", &task(&TaskBody::Residuals(state()))),
        Sample::of("task.evaluation", &task(&TaskBody::Evaluation(state()))),
        Sample::of("task.synthetic", &task(&TaskBody::Synthetic(100))),
        Sample::of("update", &update),
        Sample::of(
            "refusal",
            &Refusal {
                attempt: AttemptId([0x22; 32]),
                study: study(),
                code: RefusalCode::AlreadyCharged,
                detail: 3 << 32,
            },
        ),
    ]
}

fn endings() -> Vec<Sample> {
    let end = End {
        attempt: AttemptId([0x22; 32]),
        released: true,
        release: Hash32([0x55; 32]),
    };
    let study_end = StudyEnd {
        study: study(),
        outcome: StudyOutcome::Aborted,
    };
    let goodbye = Goodbye {
        reason: CloseReason::Expired,
    };
    let certificate = vec![0x30, 0x82];
    vec![
        Sample::of("end", &end),
        Sample::of("study-end", &study_end),
        Sample::of("renew", &Renew { csr: vec![0x30] }),
        Sample::of("renewed", &Renewed { certificate }),
        Sample::of("goodbye", &goodbye),
    ]
}

fn joining() -> Vec<Sample> {
    let join = Join {
        name: name("north"),
        csr: vec![0x30, 0x81],
        identity: IdentityKey([0x66; 32]),
        secret: [0x77; 32],
        signature: vec![0x44; 64],
    };
    let accepted = Joined::Accepted {
        certificate: vec![0x30, 0x82],
        role: Role::Dpo,
    };
    let rejected = Joined::Rejected(JoinRejection::RequestInvalid);
    vec![
        Sample::of("join", &join),
        Sample::of("joined.accepted", &accepted),
        Sample::of("joined.rejected", &rejected),
    ]
}

fn requests() -> Vec<Sample> {
    let churn = || "churn".to_owned();
    let submit = Request::StudySubmit {
        study: "name = \"churn\"".to_owned(),
        contract: "[contract]".to_owned(),
        dry_run: true,
    };
    let approve = Request::StudyApprove {
        study: study(),
        signature: vec![0x44; 64],
    };
    let release = Request::ModelRelease {
        model: "churn@2".to_owned(),
        publish: false,
    };
    let renew = Request::Renew { csr: vec![0x30] };
    [
        ("request.study-submit", submit),
        ("request.study-approve", approve),
        ("request.study-list", Request::StudyList),
        ("request.study-show", Request::StudyShow(churn())),
        ("request.study-watch", Request::StudyWatch(churn())),
        ("request.study-abort", Request::StudyAbort(churn())),
        ("request.model-list", Request::ModelList),
        ("request.model-fetch", Request::ModelFetch(churn())),
        ("request.model-sums", Request::ModelSums(churn())),
        ("request.model-release", release),
        ("request.nodes", Request::Nodes),
        ("request.contract-show", Request::ContractShow(churn())),
        ("request.renew", renew),
    ]
    .map(|(name, request)| Sample::of(name, &request))
    .into()
}

fn responses() -> Vec<Sample> {
    let refused = Response::Refused {
        code: "study-unknown".to_owned(),
        message: "no such study".to_owned(),
    };
    let submitted = Response::Submitted {
        terms: vec![1, 2, 3],
        study: study(),
        notes: vec!["few customers".to_owned()],
    };
    let sums = SumsBundle {
        terms: vec![1, 2, 3],
        contract: "[contract]".to_owned(),
        sums: vec![ReleasedSum {
            round: 9,
            updates: 8,
            cells: vec![5, -6],
        }],
    };
    [
        ("response.refused", refused),
        ("response.submitted", submitted),
        ("response.done", Response::Done("approved".to_owned())),
        ("response.studies", Response::Studies(vec![status()])),
        ("response.study", Response::Study(Box::new(detail()))),
        ("response.models", Response::Models(vec![model()])),
        ("response.model", Response::Model("{}".to_owned())),
        ("response.sums", Response::Sums(Box::new(sums))),
        ("response.nodes", Response::Nodes(vec![node()])),
        (
            "response.contract",
            Response::Contract("[contract]".to_owned()),
        ),
        ("response.certificate", Response::Certificate(vec![0x30])),
    ]
    .map(|(name, response)| Sample::of(name, &response))
    .into()
}

fn aggregation() -> Vec<Sample> {
    let (attempt, roster) = (AttemptId([0x22; 32]), Hash32([0x99; 32]));
    let dealers = MemberSet::of([1, 2, 4, 128]);
    let signature = Signature64([0x44; 64]);
    let records = || vec![sealed(1), sealed(4)];
    let delivery = Delivery {
        attempt,
        roster,
        dealers,
        records: records(),
    };
    let confirm = Confirm {
        attempt,
        roster,
        dealers,
        signature,
    };
    let proof = Proof {
        attempt,
        confirmations: vec![(1, signature), (4, Signature64([0x45; 64]))],
    };
    let opening = Opening {
        attempt,
        elements: vec![0, 1, (1 << 61) - 2],
        signature,
    };
    let shares = Shares {
        attempt,
        roster,
        records: records(),
    };
    let adverts = vec![advert(1), advert(4)];
    vec![
        Sample::of("advert", &advert(4)),
        Sample::of("roster", &Roster { adverts }),
        Sample::of("shares", &shares),
        Sample::of("delivery", &delivery),
        Sample::of("confirm", &confirm),
        Sample::of("proof", &proof),
        Sample::of("opening", &opening),
        Sample::of("cannot", &Cannot { attempt, dealers }),
    ]
}

fn aggregation_refusals() -> Vec<Sample> {
    let refusal = |code, detail| Refusal {
        attempt: AttemptId([0x22; 32]),
        study: study(),
        code,
        detail,
    };
    let refused = |code| decision(Verdict::Refused(code, 0));
    vec![
        Sample::of(
            "refusal.roster-invalid",
            &refusal(RefusalCode::RosterInvalid, 0),
        ),
        Sample::of("refusal.peer-behind", &refusal(RefusalCode::PeerBehind, 4)),
        Sample::of(
            "refusal.equivocation",
            &refusal(RefusalCode::Equivocation, 0),
        ),
        Sample::of(
            "refusal.proof-invalid",
            &refusal(RefusalCode::ProofInvalid, 0),
        ),
        Sample::of("decision.not-pinned", &refused(RefusalCode::NotPinned)),
        Sample::of("decision.operators", &refused(RefusalCode::Operators)),
    ]
}

/// A node's ledger and the coordinator's mirror of it.
fn mirror() -> Vec<Sample> {
    let copy = LedgerCopy {
        links: vec![vec![0x30, 0x31, 0x32], vec![]],
        signature: vec![0x44; 64],
    };
    let held = LedgerHeld {
        head: head(),
        signature: vec![0x44; 64],
    };
    let nothing = LedgerHeld {
        head: Head::default(),
        signature: Vec::new(),
    };
    vec![
        Sample::of("ledger-copy", &copy),
        Sample::of("ledger-held", &held),
        Sample::of("ledger-held.nothing", &nothing),
    ]
}

fn advert(index: u16) -> Advert {
    Advert {
        attempt: AttemptId([0x22; 32]),
        task: Hash32([0x33; 32]),
        index,
        key: [0xc0 + index as u8; 32],
        ledger: head(),
        signature: Signature64([0x44; 64]),
    }
}

fn head() -> Head {
    Head {
        seq: 0x0102_0304_0506_0708,
        hash: Hash32([0x11; 32]),
    }
}

/// A record of one element.
fn sealed(index: u16) -> Sealed {
    Sealed {
        index,
        record: vec![0xd0 + index as u8; 24],
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a plain constant")
}

fn study() -> StudyHash {
    StudyHash([0xab; 32])
}

fn approval() -> Approval {
    Approval {
        key: IdentityKey([0x66; 32]),
        signature: vec![0x44; 64],
    }
}

fn decision(verdict: Verdict) -> Decision {
    Decision {
        study: study(),
        verdict,
    }
}

fn task(body: &TaskBody) -> Task {
    Task {
        study: study(),
        round: 3,
        attempt: 1,
        body: encode(body),
    }
}

fn state() -> ModelState {
    ModelState {
        base: -65_536,
        bin_of_cell: vec![0, 0, 1],
        curves: vec![3, -4],
    }
}

fn status() -> StudyStatus {
    StudyStatus {
        study: study(),
        name: name("churn"),
        purpose: name("churn.train"),
        state: StudyState::Running,
        reason: String::new(),
        rounds_done: 3,
        rounds_total: 10,
        urho: 24_355,
        epsilon: 1.0,
        delta: 1e-6,
        submitted: Timestamp(1_800_000_000_000),
        ended: Timestamp(0),
    }
}

fn detail() -> StudyDetail {
    StudyDetail {
        status: status(),
        terms: vec![1, 2, 3],
        approvals: vec![approval()],
        members: vec![MemberStatus {
            name: name("north"),
            key: IdentityKey([0x66; 32]),
            verdict: Some(Verdict::Accepted),
            connected: true,
        }],
        rounds: vec![RoundStatus {
            round: 0,
            attempts: 1,
            updates: 8,
            took_ms: 104,
        }],
    }
}

fn model() -> ModelEntry {
    ModelEntry {
        name: name("churn"),
        version: 2,
        study: study(),
        published: true,
        model_hash: Hash32([0x88; 32]),
        epsilon: 1.0,
        delta: 1e-6,
        auc: Some(0.75),
        created: Timestamp(1_800_000_000_000),
        warnings: vec!["not_evaluated".to_owned()],
    }
}

fn node() -> NodeEntry {
    NodeEntry {
        name: name("north"),
        role: Role::Node,
        key: IdentityKey([0x66; 32]),
        connected: true,
        revoked: false,
        certificate_until: Timestamp(1_800_000_000_000),
        last_seen: Timestamp(1_799_999_999_000),
        ledger_seq: 12,
        software: "0.1.0".to_owned(),
    }
}
