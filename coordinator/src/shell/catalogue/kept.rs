//! Answers that are kept: the same statement again costs a look.

use std::collections::HashMap;
use std::sync::Arc;

use aquifer_shared::base::limits::{CATALOGUE_KEPT_BYTES_MAX, CATALOGUE_KEPT_MAX};
use aquifer_shared::protocol::ask::{Answer, AnswerValue};

use crate::core::sql::Parameter;

/// Answers by statement and values; so many and so large, and no more.
#[derive(Debug, Default)]
pub struct Kept {
    answers: HashMap<(String, Vec<Option<String>>), Arc<Answer>>,
    bytes: usize,
}

impl Kept {
    /// The answer, if it is kept.
    #[must_use]
    pub fn get(&self, text: &str, values: &[Parameter]) -> Option<Arc<Answer>> {
        self.answers.get(&key(text, values)).cloned()
    }

    /// Keeps an answer; where there is no room, those before it go.
    pub fn keep(&mut self, text: &str, values: &[Parameter], answer: &Arc<Answer>) {
        let size = text.len() + size(answer);
        if size > CATALOGUE_KEPT_BYTES_MAX / 4 {
            return;
        }
        let full = self.answers.len() >= CATALOGUE_KEPT_MAX;
        if full || self.bytes + size > CATALOGUE_KEPT_BYTES_MAX {
            *self = Self::default();
        }
        let before = self.answers.insert(key(text, values), answer.clone());
        if before.is_none() {
            self.bytes += size;
        }
    }
}

fn key(text: &str, values: &[Parameter]) -> (String, Vec<Option<String>>) {
    let value = |value: &Parameter| match value {
        Parameter::Text(text) => Some(text.clone()),
        Parameter::Null => None,
    };
    (text.to_owned(), values.iter().map(value).collect())
}

fn size(answer: &Answer) -> usize {
    let value = |value: &AnswerValue| match value {
        AnswerValue::Text(text) => 32 + text.len(),
        _ => 32,
    };
    let names = answer.columns.iter().map(|column| 32 + column.name.len());
    names.sum::<usize>() + answer.rows.iter().flatten().map(value).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Arc<Answer> {
        Arc::new(Answer {
            columns: Vec::new(),
            rows: vec![vec![AnswerValue::Text("x".repeat(bytes))]],
            notices: Vec::new(),
            release: None,
        })
    }

    #[test]
    fn room_is_bounded() {
        let mut kept = Kept::default();
        let values = [Parameter::Text("a".into())];
        kept.keep("one", &values, &answer(1));
        assert!(kept.get("one", &values).is_some());
        assert!(kept.get("one", &[Parameter::Null]).is_none());
        kept.keep("large", &[], &answer(CATALOGUE_KEPT_BYTES_MAX));
        assert!(kept.get("large", &[]).is_none());
        for number in 0..=CATALOGUE_KEPT_MAX {
            kept.keep(&number.to_string(), &[], &answer(1));
        }
        assert!(kept.answers.len() <= CATALOGUE_KEPT_MAX && kept.get("one", &values).is_none());
    }
}
