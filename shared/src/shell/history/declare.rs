//! What an operator declares: entered at a start where it is not what was entered last.

use super::History;
use super::fault::HistoryFault;
use crate::base::hash::sha256;
use crate::domain::facts::declares_nothing;
use crate::domain::history::Event;

impl History {
    /// Enters declarations, unless they are those that were entered last; where nothing is declared, that what was is no longer.
    ///
    /// # Errors
    ///
    /// See [`History::append`].
    pub async fn declare(&self, declared: Vec<Event>) -> Result<(), HistoryFault> {
        let texts = declared.iter().map(|event| {
            let policy = event.policy;
            format!("{policy} {}\n", event.payload.to_text())
        });
        let digest = sha256(texts.collect::<String>().as_bytes()).to_string();
        let known = self.kept(DECLARED).await?;
        let never = declared.is_empty() && known.is_none();
        if never || known.as_ref() == Some(&digest) {
            return Ok(());
        }
        let declared = match declared.is_empty() {
            true => vec![declares_nothing()],
            false => declared,
        };
        self.append(declared).await?;
        self.keep(DECLARED, digest).await
    }
}

/// Beside the history: digest of what was declared last.
const DECLARED: &str = "declared";
