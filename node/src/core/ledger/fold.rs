//! The fold: what each entry does to the state, and what it may not contradict.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::protocol::aggregation::Guard;

use super::Ledger;
use super::batch::Waiting;
use super::budget::Account;
use super::entry::{Decline, Entry, Hold, PeerMarks, Reserve, Spend, read_terms};
use super::questions::signed;

impl Ledger {
    /// Takes one entry; the error says what it contradicts.
    pub(super) fn apply(&mut self, seq: u64, entry: Entry) -> Result<(), &'static str> {
        self.latest = self.latest.max(entry.at());
        match entry {
            Entry::Reserve(body) => self.apply_reserve(seq, body),
            Entry::Spend(body) => self.apply_spend(seq, body),
            Entry::Close(body) => {
                self.account(&body.study)?.closes.push(body);
                Ok(())
            }
            Entry::Return(body) => {
                if self.waiting.remove(&body.study).is_some() {
                    // It stays known: offered again and again, it would be written again and again.
                    self.over.insert(body.study, (body.reason, seq));
                } else {
                    self.account(&body.study)?.ended = Some(body.reason);
                    self.open.remove(&body.study);
                }
                Ok(())
            }
            Entry::Hold(body) => self.apply_hold(seq, body),
            Entry::Decline(body) => self.apply_decline(seq, body),
            Entry::WriteOff(body) => {
                self.written_off.push(body);
                Ok(())
            }
            Entry::PeerMarks(body) => self.apply_marks(&body),
        }
    }

    fn account(&mut self, study: &StudyHash) -> Result<&mut Account, &'static str> {
        let account = self.accounts.get_mut(study);
        account.ok_or("a study that was not accepted")
    }

    fn apply_reserve(&mut self, seq: u64, body: Reserve) -> Result<(), &'static str> {
        let (study, terms) = read_terms(&body.terms).map_err(|_| "unreadable study terms")?;
        if self.accounts.contains_key(&study) {
            return Err("a second reservation of one study");
        }
        self.waiting.remove(&study);
        self.marks.remember_for(terms.attempt_ttl_ms);
        let account = Account {
            signed: signed(&study, &terms),
            terms,
            approvals: body.approvals,
            reserved: body.parts,
            split: body.split,
            spends: Vec::new(),
            closes: Vec::new(),
            ended: None,
            seq,
        };
        self.accounts.insert(study, account);
        self.open.insert(study);
        Ok(())
    }

    fn apply_spend(&mut self, seq: u64, body: Spend) -> Result<(), &'static str> {
        let checks = self.checks;
        let account = self.account(&body.study)?;
        let left = account.outstanding().ok_or("a sum that does not fit")?;
        if !checks.hold(Guard::WithinBudget, body.urho <= left.of(body.part)) {
            return Err("a charge above its reservation");
        }
        let last = account
            .spends
            .last()
            .map(|(_, last)| (last.round, last.attempt));
        let rises = last.is_none_or(|last| last < (body.round, body.attempt));
        if !checks.hold(Guard::RisingAttempt, rises) {
            return Err("a charge for an attempt that is not above the last one");
        }
        account.spends.push((seq, body));
        Ok(())
    }

    fn apply_marks(&mut self, body: &PeerMarks) -> Result<(), &'static str> {
        let account = self.accounts.get(&body.study);
        let roster = &account.ok_or("a study that was not accepted")?.terms.roster;
        let peer = |place: &u16| roster.get(usize::from(*place)).copied();
        let (study, unknown) = (body.study, "a mark of nobody in the study's roster");
        for (place, head) in &body.stood {
            let peer = peer(place).ok_or(unknown)?;
            self.marks.note(body.at, (study, peer), *head, false);
        }
        for place in &body.dealt {
            let peer = peer(place).ok_or(unknown)?;
            let head = self.marks.last_head(&study, &peer);
            let head = head.ok_or("a member that dealt and stood nowhere")?;
            self.marks.note(body.at, (study, peer), head, true);
        }
        Ok(())
    }

    fn apply_decline(&mut self, seq: u64, body: Decline) -> Result<(), &'static str> {
        let waiting = self.waiting.get_mut(&body.study);
        let waiting = waiting.ok_or("a study that does not wait")?;
        (waiting.declined, waiting.seq) = (true, seq);
        Ok(())
    }

    fn apply_hold(&mut self, seq: u64, body: Hold) -> Result<(), &'static str> {
        let (study, terms) = read_terms(&body.terms).map_err(|_| "unreadable study terms")?;
        if self.accounts.contains_key(&study) {
            return Err("a study that was accepted waits for a person");
        }
        let waiting = Waiting {
            terms,
            bytes: body.terms,
            approvals: body.approvals,
            since: body.at,
            declined: false,
            seq,
        };
        self.waiting.insert(study, waiting);
        Ok(())
    }
}

impl Account {
    /// Whether an attempt's end was noted.
    pub(super) fn is_closed(&self, round: u32, attempt: u32) -> bool {
        let closes = &mut self.closes.iter().rev();
        closes.any(|close| (close.round, close.attempt) == (round, attempt))
    }
}
