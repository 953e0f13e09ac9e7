//! The coordinator's mirror of this node's ledger: what it lacks is sent, what it holds and this node does not locks the node.
//!
//! A node whose disk was put back to an older copy has signed entries that it does not hold; the mirror shows them.
//!
//! Nothing waits for a copy, and each is signed and checked by itself: entries are gathered for [`GATHER_MS`] and go in one.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::wire::{
    BudgetLeft, LedgerCopy, LedgerHeld, RefusalCode, ledger_digest,
};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::{Audit, Effect, Outgoing, Participant};
use crate::core::ledger::{LockReason, SeenBy};

/// What is known of the mirror in this session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mirror {
    /// Entries that it holds or that are on their way to it; none until it has said so and this node agrees.
    held: Option<u64>,
    /// When it is sent what it lacks; none while it lacks nothing, or nothing may be sent.
    due: Option<Timestamp>,
    /// Entries after this one are being read for it.
    reading: Option<u64>,
    /// What it was told of budgets last, and when.
    told: Option<(BudgetLeft, Timestamp)>,
    /// It claims what this node has not signed; noted once a session.
    doubted: bool,
}

/// How the mirror stands to the ledger, for reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MirrorState {
    /// Nothing was heard of it in this session.
    Unheard,
    /// It has been sent the ledger up to this entry.
    Follows(u64),
    /// It claims a position that this node has not signed.
    Doubted,
}

impl Participant {
    /// How the coordinator's mirror stands to the ledger.
    #[must_use]
    pub fn mirror(&self) -> MirrorState {
        match (self.mirror.doubted, self.mirror.held) {
            (true, _) => MirrorState::Doubted,
            (false, Some(held)) => MirrorState::Follows(held),
            (false, None) => MirrorState::Unheard,
        }
    }

    pub(super) fn on_ledger_held(&mut self, now: Timestamp, held: LedgerHeld) {
        if self.stopped().is_some() {
            return;
        }
        let head = held.head;
        self.mirror.unheard();
        let Err(reason) = self.ledger.held_against(head, SeenBy::Mirror) else {
            // Another past that was given up: the mirror gets this one, from where both part.
            let common = self.ledger.given_up(head);
            let shared = self.ledger.contains(head).then_some(head.seq);
            self.mirror.held = shared.or(common);
            self.tell_left(now);
            return self.mirror_at(now);
        };
        let key = UnparsedPublicKey::new(&ED25519, self.rules.identity.0);
        let own = key.verify(&ledger_digest(&head).0, &held.signature);
        if own.is_ok() {
            return self.lock_for(reason);
        }
        if !std::mem::replace(&mut self.mirror.doubted, true) {
            self.effects.push_back(Effect::Audit(Audit::Mirror(held)));
        }
    }

    /// Nothing is accepted, charged or written any more: each entry would be one more on a past that may be the wrong one.
    fn lock_for(&mut self, reason: LockReason) {
        self.lock = Some(reason);
        self.undecided.clear();
        for (study, desk) in std::mem::take(&mut self.desks) {
            if let Some(live) = desk.live {
                self.refuse(live.id, study, RefusalCode::Locked, 0);
            }
        }
    }

    /// Has the mirror sent what it lacks at this moment, or sooner if that was to be; one bounded message at a time.
    pub(super) fn mirror_at(&mut self, due: Timestamp) {
        let lacks = |held: u64| held < self.ledger.durable().seq;
        if self.mirror.held.is_some_and(lacks) && self.mirror.reading.is_none() {
            let sooner = self.mirror.due.map_or(due, |before| before.min(due));
            self.mirror.due = Some(sooner);
        }
    }

    /// Durable entries wait until more of them can go in one copy.
    pub(super) fn gather_copy(&mut self, now: Timestamp) {
        self.mirror_at(now.after_ms(GATHER_MS));
    }

    /// When the mirror is to be sent something.
    pub(super) fn copy_due(&self) -> Option<Timestamp> {
        self.mirror.due
    }

    /// The mirror gets what it lacks before this node goes.
    pub fn leave_a_copy(&mut self, now: Timestamp) {
        self.mirror_at(now);
        self.send_due_copy(now);
    }

    /// Has entries read for the mirror if their time has come, or the clock was set back before it. What caps leave is told again after an
    /// hour: charges of a year ago do not count any more.
    pub(super) fn send_due_copy(&mut self, now: Timestamp) {
        if self.stopped().is_some() {
            return;
        }
        let is_old = |told: (BudgetLeft, Timestamp)| now.since_ms(told.1) >= TOLD_MS;
        if self.mirror.told.is_some_and(is_old) {
            self.tell_left(now);
        }
        let is_due = |due: &mut Timestamp| *due <= now || *due > now.after_ms(GATHER_MS);
        if self.mirror.due.take_if(is_due).is_none() {
            return;
        }
        if let Some(after) = self.mirror.held {
            self.mirror.reading = Some(after);
            self.effects.push_back(Effect::ReadLinks { after });
        }
        self.tell_left(now);
    }

    /// Tells what is left of the budgets, where it is something else than before.
    fn tell_left(&mut self, now: Timestamp) {
        let (caps, contract) = (self.rules.policy.caps, &self.rules.contract.name);
        let urho = self.ledger.left(now, caps, contract);
        let left = BudgetLeft { urho };
        let told = self.mirror.told.replace((left, now));
        if told.is_none_or(|told| told.0 != left) {
            self.send(Outgoing::Left(left));
        }
    }

    pub(super) fn on_links(&mut self, now: Timestamp, after: u64, mut links: Vec<Vec<u8>>) {
        let reading = &mut self.mirror.reading;
        if reading.take_if(|reading| *reading == after).is_none() {
            return;
        }
        let room = self.ledger.durable().seq.saturating_sub(after);
        links.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        let head = self.ledger.head_at(after + links.len() as u64);
        let Some(head) = head.filter(|_| !links.is_empty()) else {
            return;
        };
        self.mirror.held = Some(head.seq);
        let signature = (self.sign)(&ledger_digest(&head));
        self.send(Outgoing::Copy(LedgerCopy { links, signature }));
        self.mirror_at(now);
    }
}

impl Mirror {
    /// What it holds is not known, or not known any more.
    fn unheard(&mut self) {
        (self.held, self.due, self.reading) = (None, None, None);
    }
}

/// How long entries are gathered for one copy.
const GATHER_MS: u64 = 100;
/// How long what was told of budgets holds.
const TOLD_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;
    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::protocol::chain::Head;
    use aquifer_shared::protocol::wire::{RefusalCode, StudyEnd, StudyOutcome, Verdict};

    use super::super::shared_world::{Company, fresh};
    use super::super::{DecideRefusal, Event};
    use super::*;
    use crate::core::fixtures::{NODE, key, offer, synthetic};
    use crate::core::ledger::{ENTRY_BYTES_MAX, Ledger, Lost, head_of};

    fn held(head: Head, signer: Option<u8>) -> Event {
        let digest = ledger_digest(&head);
        let signature = signer.map_or(Vec::new(), |seed| {
            key(seed).sign(&digest.0).as_ref().to_vec()
        });
        Event::LedgerHeld(LedgerHeld { head, signature })
    }

    /// What the mirror holds after all copies, as it takes them: from wherever the first link follows on.
    fn mirrored(copies: &[LedgerCopy], mut chain: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        for copy in copies {
            let keep = (0..=chain.len()).rev().find(|keep| {
                let head = head_of(&chain[..*keep]).unwrap();
                head.follow(&copy.links[0], ENTRY_BYTES_MAX).is_ok()
            });
            chain.truncate(keep.expect("follows an entry that the mirror holds"));
            chain.extend(copy.links.clone());
            let head = head_of(&chain).unwrap();
            let public = UnparsedPublicKey::new(&ED25519, crate::core::fixtures::public(NODE).0);
            assert!(
                public
                    .verify(&ledger_digest(&head).0, &copy.signature)
                    .is_ok()
            );
        }
        chain
    }

    #[test]
    fn nothing_is_sent_before_the_mirror_has_said_what_it_holds() {
        let mut company = Company::new(4);
        company.tell(Event::Connected).unwrap();
        company.aggregate(0, 0);
        assert!(company.own().copies().is_empty());
        assert_eq!(company.own().node.mirror(), MirrorState::Unheard);
    }

    #[test]
    fn an_empty_mirror_gets_everything_and_follows() {
        let mut company = Company::new(4);
        company.aggregate(0, 0);
        company.tell(held(Head::default(), None)).unwrap();
        let copies = company.own().copies();
        assert!(copies.len() > 1, "bounded messages");
        assert_eq!(mirrored(&copies, Vec::new()), company.own().disk);
        company.aggregate(1, 0);
        company.pass(GATHER_MS);
        assert_eq!(
            mirrored(&company.own().copies(), Vec::new()),
            company.own().disk
        );
        let entries = company.own().disk.len() as u64;
        assert_eq!(company.own().node.mirror(), MirrorState::Follows(entries));
    }

    #[test]
    fn a_mirror_that_is_behind_gets_what_it_lacks() {
        let mut company = Company::new(4);
        company.aggregate(0, 0);
        let head = company.own().node.ledger().head_at(2).unwrap();
        company.tell(held(head, Some(NODE))).unwrap();
        let before = company.own().disk[..2].to_vec();
        assert_eq!(
            mirrored(&company.own().copies(), before),
            company.own().disk
        );
        company.tell(Event::Connected).unwrap();
        let head = company.own().node.ledger().durable();
        let sent = company.own().copies().len();
        company.tell(held(head, Some(NODE))).unwrap();
        assert_eq!(company.own().copies().len(), sent, "it holds all");
    }

    #[test]
    fn entries_are_gathered_for_a_copy_and_wait_no_longer_for_more() {
        let mut company = Company::new(4);
        let head = company.own().node.ledger().durable();
        company.tell(held(head, Some(NODE))).unwrap();
        let before = company.own().disk.clone();
        company.ask_all(0, 0);
        let everybody = company.everybody();
        let roster = company.roster_of(&everybody);
        company.show(&roster);
        let first = company.own().disk.len();
        assert!(first > before.len(), "one more entry");
        company.pass(GATHER_MS - 1);
        assert!(company.own().copies().is_empty(), "one more may come");
        company.deliver(&roster, &everybody);
        assert!(company.own().disk.len() > first, "one more came");
        company.pass(1);
        let copies = company.own().copies();
        assert!(!copies.is_empty(), "the first has waited long enough");
        assert_eq!(mirrored(&copies, before), company.own().disk);
    }

    #[test]
    fn what_budgets_leave_is_told_where_it_has_changed() {
        let mut company = Company::new(4);
        let head = company.own().node.ledger().durable();
        company.tell(held(head, Some(NODE))).unwrap();
        company.tell(held(head, Some(NODE))).unwrap();
        let left = |company: &mut Company| {
            let now = company.now;
            let own = company.own();
            let (caps, contract) = (own.rules.policy.caps, &own.rules.contract.name);
            let report = own.node.ledger().report(now, caps, contract);
            let report = report.unwrap();
            let urho = report.per_contract.left.min(report.per_year.left);
            BudgetLeft { urho }
        };
        let first = left(&mut company);
        assert_eq!(company.own().left(), [first]);
        // What a sum is charged was set aside with its study.
        company.aggregate(0, 0);
        company.pass(GATHER_MS);
        assert_eq!(company.own().left(), [first]);
        let study = company.study;
        let outcome = StudyOutcome::Aborted;
        let end = StudyEnd { study, outcome };
        company.tell(Event::StudyEnd(end)).unwrap();
        company.pass(GATHER_MS);
        let more = left(&mut company);
        assert!(more.urho > first.urho, "what was set aside is free again");
        assert_eq!(company.own().left(), [first, more]);
    }

    #[test]
    fn a_position_that_this_node_has_not_signed_is_noted_once_and_locks_nothing() {
        let mut company = Company::new(4);
        let (seq, hash) = (90, Hash32([1; 32]));
        for signer in [None, Some(NODE + 1)] {
            company.tell(held(Head { seq, hash }, signer)).unwrap();
        }
        assert_eq!(company.own().node.lock(), None);
        assert_eq!(company.own().audits.len(), 1);
        assert_eq!(company.own().node.mirror(), MirrorState::Doubted);
        company.aggregate(0, 0);
        assert_eq!(company.own().openings().len(), 1);
        assert!(
            company.own().copies().is_empty(),
            "such a mirror gets nothing"
        );
    }

    /// The mirror holds this position, signed by this node.
    #[track_caller]
    fn check_locks(shown: impl FnOnce(&mut Company) -> Head, expected: LockReason) {
        let mut company = Company::new(4);
        company.ask_all(0, 0);
        let head = shown(&mut company);
        company.tell(held(head, Some(NODE))).unwrap();
        assert_eq!(company.own().node.lock(), Some(&expected));
        let written = company.own().disk.len();
        let roster = company.roster_of(&company.everybody());
        let (study, ask) = (company.study, company.task(0, 1));
        company.tell(Event::Roster(roster, fresh(1))).unwrap();
        company.tell(Event::Task(ask, fresh(1))).unwrap();
        let (_, offered) = offer(&synthetic(1));
        company.tell(Event::Offer(offered)).unwrap();
        company.tell(Event::Connected).unwrap();
        let refusals = company.own().refusals();
        assert!(refusals.iter().all(|found| found.0 == RefusalCode::Locked));
        assert_eq!(refusals.len(), 3, "the live attempt, a roster, a task");
        let said = company
            .own()
            .sent
            .iter()
            .rev()
            .find_map(|message| match message {
                Outgoing::Decision(decision) => Some(decision.verdict.clone()),
                _ => None,
            });
        assert_eq!(said, Some(Verdict::Refused(RefusalCode::Locked, 0)));
        let now = company.now;
        let decided = company.own().node.decide(now, study, false);
        assert_eq!(decided, Err(DecideRefusal::Locked(expected)));
        company.pass(1_000_000);
        assert_eq!(company.own().disk.len(), written, "nothing more is written");
        assert!(company.own().copies().is_empty() && company.own().shares().is_empty());
        assert_eq!(company.own().node.next_wakeup(), None);
        assert_eq!(company.own().spent(now), MicroRho::ZERO);
    }

    #[test]
    fn entries_that_were_signed_and_are_not_here_lock_the_node() {
        let by = SeenBy::Mirror;
        let ahead = Head {
            seq: 7,
            hash: Hash32([1; 32]),
        };
        let (ledger, seen) = (1, 7);
        check_locks(|_| ahead, LockReason::Behind { ledger, seen, by });
        let beside = Head { seq: 1, ..ahead };
        check_locks(|_| beside, LockReason::Forked { seq: 1, by });
    }

    #[test]
    fn a_past_that_was_given_up_is_replaced_in_the_mirror() {
        let mut company = Company::new(4);
        let mut other = Ledger::open(company.own().disk.iter().map(Vec::as_slice)).unwrap();
        let lost = Head {
            seq: 40,
            hash: Hash32([4; 32]),
        };
        let charges = Lost::at_worst(MicroRho(5));
        other.write_off(company.now, charges, vec![lost], 1);
        let link = other.next_batch().unwrap().records.remove(0).bytes;
        company.own().disk.push(link);
        let now = company.now;
        company.own().restart(now);
        company.tell(held(lost, Some(NODE))).unwrap();
        assert_eq!(company.own().node.lock(), None);
        let copies = company.own().copies();
        assert_eq!(
            copies[0].links,
            company.own().disk[1..],
            "all that differs in one copy"
        );
        let common = company.own().disk[..1].to_vec();
        assert_eq!(mirrored(&copies, common), company.own().disk);
    }

    #[test]
    fn links_that_cannot_be_read_are_asked_for_again_later() {
        let mut company = Company::new(4);
        let (own, now) = (company.own, company.now);
        let node = &mut company.nodes[own].node;
        node.handle(now, held(Head::default(), None));
        let effects: Vec<Effect> = std::iter::from_fn(|| node.poll_effect()).collect();
        let reads = |effect: &Effect| matches!(effect, Effect::ReadLinks { after: 0 });
        assert!(effects.iter().any(reads));
        let links = Vec::new();
        node.handle(now, Event::Links { after: 0, links });
        assert!(node.poll_effect().is_none());
        company.aggregate(0, 0);
        company.pass(GATHER_MS);
        assert_eq!(
            mirrored(&company.own().copies(), Vec::new()),
            company.own().disk
        );
    }
}
