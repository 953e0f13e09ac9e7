//! Who may name whom: base → domain → predictor → protocol → shell; cores stay pure; node and coordinator never meet.

use super::{Finding, Source};

/// Findings about the paths that a file names outside its tests.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    let here = module_of(&file.path);
    let mut found = Vec::new();
    for (line, path) in named_paths(file, &here) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some(message) = forbidden(&file.path, &here, &path) {
            found.push(Finding {
                file: file.path.clone(),
                line,
                message,
            });
        }
    }
    found
}

fn forbidden(file: &str, here: &[String], path: &[&str]) -> Option<String> {
    let named = path.join("::");
    let krate = file.split('/').next().unwrap_or_default();
    let other = match krate {
        "node" => &["aquifer_coordinator"][..],
        "coordinator" => &["aquifer_node"],
        "shared" => &["aquifer_node", "aquifer_coordinator"],
        _ => &[],
    };
    if other.contains(&path[0]) {
        return Some(format!("layering: {krate} names {named}"));
    }
    if path[0] == "bincode" && file != CODEC {
        return Some(format!("layering: {named} outside {CODEC}"));
    }
    if file.starts_with("coordinator/src/bin/aquifer/")
        && (path[0] == "sqlx" || path.starts_with(&["aquifer_coordinator", "shell", "store"]))
    {
        return Some(format!(
            "layering: the command of people talks to the coordinator, not to {named}"
        ));
    }
    if !is_core(file) {
        return None;
    }
    let impure = IMPURE.iter().any(|start| is_at(path, start));
    let shell = is_at(path, "aquifer_shared::shell") || is_at(path, "crate::shell");
    if impure || shell {
        return Some(format!("layering: a core names {named}"));
    }
    let (own, target) = (rank(krate, here)?, rank(krate, &owned(path.get(1..)?))?);
    if path[0] == "crate" && (target.0 > own.0 || target.0 == own.0 && target.1 != own.1) {
        return Some(format!(
            "layering: {} names {named}, which is not to its left",
            here.join("::")
        ));
    }
    None
}

/// Position of a module of `shared` from left to right, and its group within that position.
fn rank(krate: &str, module: &[String]) -> Option<(u8, String)> {
    if krate != "shared" {
        return None;
    }
    let names: Vec<&str> = module.iter().map(String::as_str).collect();
    let position = match names[..] {
        ["base", ..] => (0, "base"),
        ["domain", "predictor", ..] => (2, "predictor"),
        ["domain", "question", ..] => (2, "question"),
        ["domain", "pack", ..] => (2, "pack"),
        ["domain", "facts", ..] => (3, "facts"),
        ["domain", group, ..] => (1, group),
        ["protocol", ..] => (3, "protocol"),
        ["shell", ..] => (4, "shell"),
        _ => return None,
    };
    Some((position.0, position.1.to_owned()))
}

fn is_core(file: &str) -> bool {
    CORES.iter().any(|core| file.starts_with(core))
}

fn is_at(path: &[&str], start: &str) -> bool {
    let start: Vec<&str> = start.split("::").collect();
    path.starts_with(&start)
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

/// `shared/src/domain/sum.rs` → `[domain, sum]`.
fn module_of(file: &str) -> Vec<String> {
    let inside = file.split_once("/src/").map_or("", |(_, inside)| inside);
    let parts = inside.trim_end_matches(".rs").split('/');
    let kept = parts.filter(|part| !["mod", "lib", "main", ""].contains(part));
    kept.map(str::to_owned).collect()
}

/// Every path of two or more parts that shipped code names, groups opened, `super` and `self` resolved.
fn named_paths(file: &Source, here: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut code = String::new();
    for (line, &test) in file.code.lines().zip(&file.in_tests) {
        code.push_str(if test { "" } else { line });
        code.push('\n');
    }
    let mut found = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < code.len() {
        let rest = &code[at..];
        let word = word_length(rest);
        let starts = word > 0 && rest[word..].starts_with("::");
        if starts && !code[..at].ends_with("::") {
            let mut paths = Vec::new();
            let used = read_path(rest, &mut Vec::new(), &mut paths);
            found.extend(paths.into_iter().map(|path| (line, resolve(path, here))));
            line += rest[..used].matches('\n').count();
            at += used;
            continue;
        }
        let step = word.max(rest.chars().next().map_or(1, char::len_utf8));
        line += rest[..step].matches('\n').count();
        at += step;
    }
    found
}

fn word_length(text: &str) -> usize {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.find(|c: char| !part(c)).unwrap_or(text.len())
}

/// Reads `a::b::{c, d::e}` from the start of `text`; returns how many bytes it took.
fn read_path(text: &str, start: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> usize {
    let depth = start.len();
    let mut at = 0;
    loop {
        let word = word_length(&text[at..]);
        if word > 0 {
            start.push(text[at..at + word].to_owned());
        }
        at += word;
        if !text[at..].starts_with("::") {
            break;
        }
        at += 2;
        if text[at..].starts_with('{') {
            at += read_group(&text[at..], start, paths);
            start.truncate(depth);
            return at;
        }
        if word_length(&text[at..]) == 0 {
            break;
        }
    }
    paths.push(start.clone());
    start.truncate(depth);
    at
}

fn read_group(text: &str, start: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> usize {
    let mut at = 1;
    while at < text.len() && !text[at..].starts_with('}') {
        if word_length(&text[at..]) > 0 {
            at += read_path(&text[at..], start, paths);
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at + 1
}

fn resolve(path: Vec<String>, here: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    if ups == 0 && path[0] != "self" {
        return path;
    }
    let skip = ups.max(1);
    let kept = here.len().saturating_sub(ups);
    let inside = here[..kept].iter().chain(&path[skip..]).cloned();
    std::iter::once("crate".to_owned()).chain(inside).collect()
}

const CODEC: &str = "shared/src/protocol/codec.rs";
const CORES: [&str; 5] = [
    "shared/src/base/",
    "shared/src/domain/",
    "shared/src/protocol/",
    "node/src/core/",
    "coordinator/src/core/",
];
const IMPURE: [&str; 20] = [
    "tokio",
    "sqlx",
    "quinn",
    "rustls",
    "rcgen",
    "datafusion",
    "arrow",
    "parquet",
    "opendp",
    "rustix",
    "clap",
    "anyhow",
    "aws_lc_rs::rand",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_caught(path: &str, text: &str) {
        assert_eq!(check(&Source::new(path, text)).len(), 1, "{text}");
    }

    #[track_caller]
    fn check_passes(path: &str, text: &str) {
        assert_eq!(check(&Source::new(path, text)), [], "{text}");
    }

    #[test]
    fn imports_run_one_way() {
        check_caught("shared/src/base/ids.rs", "use crate::domain::sum::Part;");
        check_caught(
            "shared/src/base/ids.rs",
            "use crate::{base::hash, protocol::wire};",
        );
        check_caught(
            "shared/src/domain/sum.rs",
            "use crate::domain::contract::Contract;",
        );
        check_caught("shared/src/domain/sum.rs", "use super::contract::Contract;");
        check_caught("shared/src/domain/sum.rs", "use super::predictor::plan;");
        check_caught(
            "shared/src/domain/sharing/deal.rs",
            "use super::super::sum::Thresholds;",
        );
        check_caught(
            "shared/src/domain/predictor/plan.rs",
            "use super::super::super::protocol::wire;",
        );
        check_caught(
            "shared/src/protocol/wire.rs",
            "fn f() { crate::shell::noise::draw() }",
        );
        check_passes(
            "shared/src/domain/predictor/plan.rs",
            "use super::super::sum::Part;\nuse super::learner;",
        );
        check_passes(
            "shared/src/protocol/wire.rs",
            "use super::codec::decode;\nuse crate::domain::sum::Part;",
        );
        check_caught(
            "shared/src/domain/question/check.rs",
            "use crate::domain::predictor::plan;",
        );
        check_passes(
            "shared/src/domain/question/check.rs",
            "use crate::domain::contract::Contract;",
        );
        check_passes(
            "shared/src/domain/contract/read.rs",
            "use super::Contract;\nuse crate::base::ids;",
        );
    }

    #[test]
    fn cores_open_nothing() {
        check_caught("node/src/core/ledger.rs", "use std::fs;");
        check_caught("node/src/core/ledger.rs", "use std::{fmt, fs::File};");
        check_caught(
            "node/src/core/ledger.rs",
            "fn f() { let now = std::time::SystemTime::now(); }",
        );
        check_caught(
            "node/src/core/ledger.rs",
            "use std::time::{Duration, Instant};",
        );
        check_caught("coordinator/src/core/study.rs", "use tokio::sync::mpsc;");
        check_caught("coordinator/src/core/study.rs", "use sqlx::Any;");
        check_caught(
            "coordinator/src/core/study.rs",
            "use crate::shell::store::Store;",
        );
        check_caught(
            "coordinator/src/core/study.rs",
            "use super::super::shell::store::Store;",
        );
        check_caught(
            "node/src/core/x.rs",
            "use aquifer_shared::shell::noise::Noise;",
        );
        check_passes(
            "node/src/shell/store.rs",
            "use std::fs;\nuse crate::core::ledger;",
        );
        check_passes(
            "node/src/core/x.rs",
            "use std::time::Duration;\n// std::fs::read\n",
        );
        check_passes(
            "node/src/core/x.rs",
            "#[cfg(test)]\nmod tests {\n    use std::fs::read;\n}\n",
        );
    }

    #[test]
    fn node_and_coordinator_never_see_each_other() {
        check_caught(
            "node/src/shell/link.rs",
            "use aquifer_coordinator::core::study;",
        );
        check_caught(
            "coordinator/src/shell/serve.rs",
            "use aquifer_node::core::ledger;",
        );
        check_caught(
            "shared/src/shell/keys.rs",
            "use aquifer_node::core::ledger;",
        );
        check_passes(
            "tests/src/lib.rs",
            "use aquifer_node::core::ledger;\nuse aquifer_coordinator::core;",
        );
    }

    #[test]
    fn one_module_knows_the_codec() {
        check_caught(
            "node/src/shell/store.rs",
            "fn f() { bincode::serde::encode(1) }",
        );
        check_caught("shared/src/protocol/wire.rs", "use bincode::config;");
        check_passes(CODEC, "use bincode::config;");
    }

    #[test]
    fn the_command_of_people_does_not_open_the_store() {
        check_caught("coordinator/src/bin/aquifer/main.rs", "use sqlx::Any;");
        check_caught(
            "coordinator/src/bin/aquifer/main.rs",
            "use aquifer_coordinator::shell::store::Store;",
        );
    }
}
