//! What the loop answers to commands that ask through the node's door.

use aquifer_shared::shell::report::chain;

use super::clock::now;
use super::control::Asked;
use super::history_command::HistoryView;
use super::serve::Node;
use super::telling::Teller;
use super::views::{Answer, Query, answer};

impl Node {
    /// Answers a question; one about the history waits for it beside the loop.
    pub(super) async fn reply(&mut self, (query, reply): Asked) {
        // Who asked may have gone.
        if Teller::takes(&query) {
            let teller = self.teller.clone();
            tokio::spawn(async move { drop(reply.send(teller.answer(&query).await)) });
        } else {
            let answer = self.answer(&query).await;
            drop(reply.send(answer));
        }
    }

    /// Answers a question once its effects are carried out: what is said to be decided is durable.
    async fn answer(&mut self, query: &Query) -> Answer {
        match query {
            Query::History => {
                let view = HistoryView::of(&self.history, &self.directory).await;
                return view.map_or_else(
                    |error| Answer::Refused(format!("{error:#}")),
                    |view| Answer::History(Box::new(view)),
                );
            }
            Query::Data => return Answer::Data(self.refresher.view()),
            Query::Refresh => {
                let started = self.refresher.start();
                let refused = |error| Answer::Refused(chain(&error));
                return started.map_or_else(refused, |()| Answer::Data(self.refresher.view()));
            }
            _ => {}
        }
        let answer = answer(&mut self.participant, now(), query);
        self.act().await;
        if self.participant.is_unfit() {
            return Answer::Refused("the ledger cannot be written; nothing was decided".to_owned());
        }
        answer
    }
}
