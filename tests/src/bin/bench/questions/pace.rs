//! Statements at a fixed pace over many sessions: each is due at its moment, whether or not those before it are answered.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::client::Client;
use super::times::Times;

/// What came of it.
pub struct Paced {
    /// From the moment when a statement was due to its last row.
    pub times: Times,
    /// Statements that failed: the first reason, and how many.
    pub failed: Option<(String, usize)>,
}

/// Statements in turn over all sessions.
pub fn run(
    runtime: &Runtime,
    clients: &mut Vec<Client>,
    (statements, rows): (&[String], Option<usize>),
    per_second: f64,
) -> Result<Paced> {
    let sessions = clients.len();
    let taken = runtime.block_on(async {
        let start = Instant::now() + Duration::from_millis(50);
        let mut running = JoinSet::new();
        for (number, client) in clients.drain(..).enumerate() {
            let own = statements.iter().enumerate();
            let own = own.skip(number).step_by(sessions);
            let due = |turn: usize| start + Duration::from_secs_f64(turn as f64 / per_second);
            let own: Vec<(Instant, String)> =
                own.map(|(turn, text)| (due(turn), text.clone())).collect();
            running.spawn(ask_all(client, own, rows));
        }
        running.join_all().await
    });
    let (mut times, mut failures) = (Vec::new(), Vec::new());
    for (client, results) in taken {
        clients.push(client);
        for result in results {
            match result {
                Ok(taken) => times.push(taken),
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
    }
    let count = failures.len();
    Ok(Paced {
        times: Times::of(times),
        failed: failures.into_iter().next().map(|first| (first, count)),
    })
}

async fn ask_all(
    mut client: Client,
    own: Vec<(Instant, String)>,
    rows: Option<usize>,
) -> (Client, Vec<Result<f64>>) {
    let mut results = Vec::with_capacity(own.len());
    for (due, text) in own {
        sleep_until(due.into()).await;
        let asked = client.ask(&text, rows).await;
        results.push(asked.map(|_| due.elapsed().as_secs_f64() * 1e3));
    }
    (client, results)
}
