//! Items that touch data about people say so in a `# Privacy` section.

use super::{Finding, Source};

/// File and public item; an item that is gone or renamed is a finding too, so that the list stays true.
const ITEMS: [(&str, &str); 36] = [
    ("shared/src/base/secret.rs", "struct Personal"),
    ("shared/src/domain/law/facts.rs", "struct Person"),
    ("shared/src/domain/law/decision.rs", "struct Decision"),
    ("shared/src/domain/law/decide.rs", "fn decide"),
    ("shared/src/domain/sum/mod.rs", "fn sigma_share"),
    ("shared/src/domain/sum/mod.rs", "fn smallest_slot_ms"),
    ("shared/src/domain/sharing/field.rs", "struct Element"),
    ("shared/src/domain/sharing/packing.rs", "fn new"),
    ("shared/src/domain/sharing/deal.rs", "fn deal"),
    ("shared/src/domain/sharing/record.rs", "struct Record"),
    ("shared/src/domain/sharing/record.rs", "struct SummedShares"),
    ("shared/src/domain/sum/noise_share.rs", "fn scale"),
    ("shared/src/domain/question/scale.rs", "fn of"),
    ("shared/src/domain/question/scale.rs", "fn scaled"),
    ("shared/src/domain/predictor/plan.rs", "fn additive_rounds"),
    ("shared/src/domain/predictor/arithmetic.rs", "fn residual"),
    ("shared/src/shell/noise.rs", "fn draw"),
    ("node/src/core/table.rs", "struct Table"),
    ("node/src/core/table.rs", "fn rows"),
    ("node/src/core/table.rs", "fn labels"),
    ("node/src/core/table.rs", "fn customer"),
    ("node/src/core/holdout.rs", "struct Split"),
    ("node/src/core/holdout.rs", "fn of"),
    ("node/src/core/contribution.rs", "fn contribution"),
    ("node/src/core/analytics/choice.rs", "fn derive"),
    ("node/src/core/analytics/table.rs", "struct RowTable"),
    ("node/src/core/analytics/table.rs", "fn customers"),
    ("node/src/core/analytics/inquiry.rs", "fn sum"),
    ("node/src/core/analytics/excess.rs", "struct Excess"),
    ("node/src/shell/published/encode.rs", "fn encode"),
    ("node/src/shell/published/shelf.rs", "fn answer"),
    ("node/src/core/model.rs", "fn scores"),
    ("node/src/core/participant/released.rs", "struct Released"),
    ("node/src/shell/encode.rs", "fn encode"),
    ("node/src/shell/encode.rs", "fn encode_for_scoring"),
    ("node/src/shell/worker.rs", "fn start"),
];

/// Findings over the whole set of files.
pub(super) fn check(files: &[Source]) -> Vec<Finding> {
    let listed = ITEMS.iter().filter_map(|(path, item)| {
        let file = files.iter().find(|file| file.path == *path)?;
        check_item(file, item)
    });
    let gone = ITEMS.iter().filter(|(path, _)| {
        files.len() > WHOLE_REPOSITORY_MIN && !files.iter().any(|file| file.path == *path)
    });
    let gone = gone.map(|(path, item)| Finding {
        file: (*path).to_owned(),
        line: 0,
        message: format!("privacy: no such file, expected it to hold `{item}`"),
    });
    listed.chain(gone).collect()
}

const WHOLE_REPOSITORY_MIN: usize = 20;

fn check_item(file: &Source, item: &str) -> Option<Finding> {
    let finding = |line, message| {
        Some(Finding {
            file: file.path.clone(),
            line,
            message,
        })
    };
    let ends = [' ', '(', '<', '{', ':', ';'];
    let lines: Vec<&str> = file.text.lines().collect();
    let at = lines.iter().position(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let rest = line.strip_prefix(item);
        rest.is_some_and(|rest| rest.starts_with(ends))
    });
    let Some(at) = at else {
        return finding(
            0,
            format!("privacy: no `{item}`, expected one with a `# Privacy` section"),
        );
    };
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    let mut docs = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    if docs.any(|line| line == "/// # Privacy") {
        return None;
    }
    finding(
        at + 1,
        format!("privacy: `{item}` has no `# Privacy` section"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_sum(text: &str, caught: bool) {
        let file = Source::new("shared/src/domain/sum/mod.rs", text);
        assert_eq!(
            check_item(&file, "fn sigma_share").is_some(),
            caught,
            "{text}"
        );
    }

    #[test]
    fn listed_items_have_a_privacy_section() {
        check_sum("/// Scale.\npub fn sigma_share(a: u64) {}\n", true);
        check_sum(
            "/// Scale.\n///\n/// # Privacy\n///\n/// Enough.\n#[must_use]\npub fn sigma_share(a: u64) {}\n",
            false,
        );
        check_sum(
            "/// # Privacy\n\n/// Scale.\npub fn sigma_share(a: u64) {}\n",
            true,
        );
    }

    #[test]
    fn a_renamed_item_is_noticed() {
        check_sum("/// # Privacy\npub fn sigma_shares(a: u64) {}\n", true);
    }
}
