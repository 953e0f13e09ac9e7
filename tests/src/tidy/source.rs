//! A source file, and its text with comments, strings and test modules taken out.

/// A file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the top of the repository.
    pub path: String,
    /// Text as written.
    pub text: String,
    /// The text with the insides of comments, strings and characters blanked; same lines, same columns.
    pub code: String,
    /// For each line from 0: it belongs to a `#[cfg(test)]` item, or the whole file is a test.
    pub in_tests: Vec<bool>,
}

impl Source {
    /// Prepares a file for the rules.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        // Integration tests: `tests/` within a member of the workspace.
        let whole = path.split('/').nth(1) == Some("tests");
        let mut in_tests = vec![whole; code.lines().count()];
        mark_test_items(&code, &mut in_tests);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            in_tests,
        }
    }

    /// Marks files that are modules of tests: those that another file declares under `#[cfg(test)]`, and what is below them.
    pub(super) fn mark_test_modules(files: &mut [Self]) {
        let declared: Vec<String> = files.iter().flat_map(Self::test_modules).collect();
        for file in files {
            let of = |stem: &String| {
                let rest = file.path.strip_prefix(stem.as_str());
                rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            if declared.iter().any(of) {
                file.in_tests.fill(true);
            }
        }
    }

    /// Paths, without `.rs`, of the files that this one declares as modules of tests.
    fn test_modules(&self) -> Vec<String> {
        let (own, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let below = match name.strip_suffix(".rs") {
            Some("mod" | "lib" | "main") | None => own.to_owned(),
            Some(stem) => format!("{own}/{stem}"),
        };
        let lines = self.text.lines().map(str::trim).zip(&self.in_tests);
        let declared = lines.filter(|(_, test)| **test).filter_map(|(line, _)| {
            if let Some(path) = line.strip_prefix("#[path = \"") {
                return Some(format!("{own}/{}", path.strip_suffix(".rs\"]")?));
            }
            let (_, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
            Some(format!("{below}/{name}"))
        });
        declared.collect()
    }

    /// Is it Rust?
    #[must_use]
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Code lines outside tests, with their number from 1.
    pub fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines(false)
    }

    /// Code lines of tests, with their number from 1.
    pub fn tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines(true)
    }

    fn lines(&self, tests: bool) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.code.lines().zip(&self.in_tests).enumerate();
        numbered
            .filter_map(move |(index, (line, &test))| (test == tests).then_some((index + 1, line)))
    }
}

fn mark_test_items(code: &str, in_tests: &mut [bool]) {
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(test)]").map(|at| at + from) {
        let end = item_end(code, at);
        let (first, last) = (line_of(code, at), line_of(code, end));
        let last = last.min(in_tests.len() - 1);
        in_tests[first..=last].fill(true);
        from = end + 1;
        if from >= code.len() {
            return;
        }
    }
}

/// Where the item that starts at `at` ends: its closing brace, or its semicolon.
pub(super) fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return offset,
            b'}' => depth -= 1,
            b';' if depth == 0 => return offset,
            _ => {}
        }
    }
    code.len() - 1
}

/// The line of a byte, from 0.
pub(super) fn line_of(code: &str, at: usize) -> usize {
    code.as_bytes()[..at]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}

/// Blanks comments and the insides of literals, byte for byte, so that places stay the same.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_comment(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => block_comment(bytes, at),
            b'"' => string(bytes, at),
            b'r' if !is_word(bytes, at) => raw_string(bytes, at),
            b'\'' => character(bytes, at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole characters are blanked or kept")
}

fn is_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest
        .windows(needle.len())
        .position(|window| window == needle);
    found.map_or(bytes.len(), |offset| from + offset)
}

fn line_comment(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, b"\n")
}

fn block_comment(bytes: &[u8], at: usize) -> usize {
    (find(bytes, at + 2, b"*/") + 2).min(bytes.len())
}

fn string(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

fn raw_string(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return at;
    }
    let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    (find(bytes, at + 2 + hashes, &closing) + closing.len()).min(bytes.len())
}

fn character(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'\\') {
        return (find(bytes, at + 3, b"'") + 1).min(bytes.len());
    }
    // A lifetime has no closing quote within the next character.
    let length = match bytes.get(at + 1) {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        _ => 1,
    };
    if bytes.get(at + 1 + length) == Some(&b'\'') {
        return at + 2 + length;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_blanked(text: &str, expected: &str) {
        assert_eq!(blank(text), expected);
    }

    #[test]
    fn comments_are_blanked() {
        check_blanked("a // b { \nc", "a        \nc");
        check_blanked("a /* { */ b", "a         b");
    }

    #[test]
    fn strings_are_blanked() {
        check_blanked(r#"f("{\"}")"#, "f(      )");
        check_blanked("f(r#\"{\"#)", "f(      )");
        check_blanked("f('{', '\\'', 'ä')", "f(   ,     ,     )");
    }

    #[test]
    fn lifetimes_stay() {
        check_blanked("&'a str, 'b'", "&'a str,    ");
    }

    #[test]
    fn files_of_tests_are_told_from_shipped_code() {
        let mut files = [
            Source::new("node/src/core/mod.rs", "mod a;\n#[cfg(test)]\nmod tests;\n"),
            Source::new(
                "node/src/core/a.rs",
                "fn a() {}\n#[cfg(test)]\npub(crate) mod deep;\n#[cfg(test)]\n#[path = \"far.rs\"]\nmod tests;\n",
            ),
            Source::new("node/src/core/far.rs", "fn d() {}\n"),
            Source::new("node/src/core/a/deep.rs", "fn b() {}\n"),
            Source::new("node/src/core/tests.rs", "fn c() {}\n"),
        ];
        Source::mark_test_modules(&mut files);
        let shipped: Vec<usize> = files.iter().map(|file| file.shipped().count()).collect();
        assert_eq!(shipped, [1, 1, 0, 0, 0]);
    }

    #[test]
    fn test_modules_are_told_from_shipped_code() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let source = Source::new("node/src/x.rs", text);
        let shipped: Vec<usize> = source.shipped().map(|(line, _)| line).collect();
        assert_eq!(shipped, [1, 6]);
    }
}
