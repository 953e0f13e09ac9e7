//! Who waits for news of studies: so many questions and no more, and none whose asker has gone.

use aquifer_shared::base::ids::{Name, StudyHash};
use aquifer_shared::base::limits::{WATCHERS_MAX, WATCHERS_PER_PARTY_MAX};
use aquifer_shared::protocol::ask::{Response, StudyStatus};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Questions that are answered again at every change of a study.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    all: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    study: StudyHash,
    party: Name,
    answers: mpsc::Sender<Response>,
}

/// So many questions wait already.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{found} questions of {whose} wait for news of studies, expected at most {limit}; end some, or ask again later"
)]
pub(super) struct TooMany {
    whose: &'static str,
    found: usize,
    limit: usize,
}

impl Watchers {
    /// Adds one; those whose askers have gone make room.
    ///
    /// # Errors
    ///
    /// Too many wait, of this party or in all.
    pub fn add(
        &mut self,
        study: StudyHash,
        party: &Name,
        answers: mpsc::Sender<Response>,
    ) -> Result<(), TooMany> {
        self.all.retain(|watcher| !watcher.answers.is_closed());
        let own = self.all.iter().filter(|watcher| watcher.party == *party);
        room("one party", own.count(), WATCHERS_PER_PARTY_MAX)?;
        room("all parties", self.all.len(), WATCHERS_MAX)?;
        self.all.push(Watcher {
            study,
            party: party.clone(),
            answers,
        });
        Ok(())
    }

    /// Tells the watchers of a study, and lets them go after the last news.
    pub fn tell(&mut self, study: StudyHash, status: &StudyStatus, last: bool) {
        self.all.retain(|watcher| {
            watcher.study != study || (tell(&watcher.answers, status, last) && !last)
        });
    }
}

/// A study's status as an answer.
pub(super) fn study_response(status: &StudyStatus) -> Response {
    Response::Studies(vec![status.clone()])
}

fn room(whose: &'static str, found: usize, limit: usize) -> Result<(), TooMany> {
    if found < limit {
        return Ok(());
    }
    Err(TooMany {
        whose,
        found,
        limit,
    })
}

/// Tells one watcher; a slow one misses states in between, never the last. False if it has gone.
fn tell(answers: &mpsc::Sender<Response>, status: &StudyStatus, last: bool) -> bool {
    match answers.try_send(study_response(status)) {
        Ok(()) => true,
        Err(TrySendError::Full(response)) => {
            if last {
                let answers = answers.clone();
                tokio::spawn(async move { answers.send(response).await });
            }
            true
        }
        Err(TrySendError::Closed(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUDY: StudyHash = StudyHash([1; 32]);

    /// Adds watchers of one party until it is refused.
    fn fill(
        watchers: &mut Watchers,
        party: &str,
        kept: &mut Vec<mpsc::Receiver<Response>>,
    ) -> usize {
        let party = party.parse().unwrap();
        (0..)
            .take_while(|_| {
                let (answers, replies) = mpsc::channel(1);
                kept.push(replies);
                watchers.add(STUDY, &party, answers).is_ok()
            })
            .count()
    }

    #[test]
    fn a_party_watches_so_often_and_others_all_the_same() {
        let (mut watchers, mut kept) = (Watchers::default(), Vec::new());
        assert_eq!(
            fill(&mut watchers, "ops", &mut kept),
            WATCHERS_PER_PARTY_MAX
        );
        assert_eq!(fill(&mut watchers, "ops", &mut kept), 0);
        assert_eq!(
            fill(&mut watchers, "audit", &mut kept),
            WATCHERS_PER_PARTY_MAX
        );
    }

    #[test]
    fn all_parties_together_watch_so_often() {
        let (mut watchers, mut kept) = (Watchers::default(), Vec::new());
        let parties = WATCHERS_MAX / WATCHERS_PER_PARTY_MAX;
        for party in 0..parties {
            fill(&mut watchers, &format!("party-{party}"), &mut kept);
        }
        assert_eq!(watchers.all.len(), WATCHERS_MAX);
        let (answers, _replies) = mpsc::channel(1);
        let refused = watchers.add(STUDY, &"late".parse().unwrap(), answers);
        let expected = TooMany {
            whose: "all parties",
            found: WATCHERS_MAX,
            limit: WATCHERS_MAX,
        };
        assert_eq!(refused, Err(expected));
    }

    #[test]
    fn who_has_gone_makes_room() {
        let (mut watchers, mut kept) = (Watchers::default(), Vec::new());
        fill(&mut watchers, "ops", &mut kept);
        kept.clear();
        assert_eq!(
            fill(&mut watchers, "ops", &mut kept),
            WATCHERS_PER_PARTY_MAX
        );
        assert_eq!(watchers.all.len(), WATCHERS_PER_PARTY_MAX);
    }
}
