//! `aquifer-node refresh`: the running node reads its tables for analysts again; waits until they are served, or why not.

use std::path::Path;
use std::thread;
use std::time::Duration;

use aquifer_shared::shell::report::{Outcome, print, print_json, refuse};

use super::control::ask;
use super::published::DataView;
use super::views::{Answer, Query};

/// Asks the node to begin, and waits.
///
/// # Errors
///
/// The node does not answer any more.
pub fn run(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let mut answer = ask(directory, &Query::Refresh)?;
    if answer.is_none() {
        let why = "no node runs here; it reads its tables when it starts";
        return refuse(json, "refresh", why);
    }
    loop {
        let view = match answer {
            Some(Answer::Data(view)) => view,
            Some(Answer::Refused(why)) => return refuse(json, "refresh", &why),
            Some(_) => {
                anyhow::bail!("the running node answered something else; is it of this version?")
            }
            None => anyhow::bail!("the node stopped before the tables were whole"),
        };
        if view.reading.is_none() {
            return tell(&view, json);
        }
        thread::sleep(PAUSE);
        answer = ask(directory, &Query::Data)?;
    }
}

fn tell(view: &DataView, json: bool) -> anyhow::Result<Outcome> {
    if let Some(failed) = &view.failed {
        let (epoch, problem) = (&failed.epoch, &failed.problem);
        anyhow::bail!("epoch {epoch} is not served: {problem}");
    }
    if json {
        print_json(view)?;
        return Ok(Outcome::Done);
    }
    let epoch = view.epoch.as_ref().map_or("none", |epoch| epoch.as_str());
    let tables = view.tables.join(", ");
    print(&format!("epoch {epoch} is served: {tables}\n"))?;
    Ok(Outcome::Done)
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
