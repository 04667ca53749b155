//! Rules about words: how a doc comment begins, what a message says, which names are gone.

use proc_macro2::TokenTree;

use super::{File, Finding, tokens};

/// First words of an indirect question, and pronouns whose noun is elsewhere.
const REFUSED_FIRST_WORDS: &[&str] = &[
    "What",
    "How",
    "Whether",
    "Who",
    "Whose",
    "Whom",
    "Where",
    "When",
    "Why",
    "Which",
    "One",
    "It",
    "They",
    "Nobody",
    "Something",
    "Nothing",
    "Whatever",
    "Whoever",
];
/// Pairs of first words that point at a noun elsewhere.
const REFUSED_FIRST_PAIRS: &[(&str, &str)] = &[
    ("Since", "when"),
    ("From", "when"),
    ("The", "one"),
    ("The", "same"),
];
/// First words of a log line that has no subject.
const VERBS_WITHOUT_SUBJECT: &[&str] = &[
    "is", "are", "was", "were", "has", "have", "had", "does", "do", "did",
];
const LOG_MACROS: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// Identifiers of a private vocabulary, and the field's words for them.
const HOUSE_WORDS: &[(&str, &str)] = &[
    ("AT_ONCE", "MAX_CONCURRENT_…"),
    ("EVERY", "…_INTERVAL"),
    ("LOOK", "…_INTERVAL"),
    ("MOST", "MAX_…"),
    ("PATIENCE", "…_TIMEOUT"),
    ("PLACES", "QUEUE_CAPACITY"),
    ("SHEET", "SCRATCH"),
    ("TURN", "…_INTERVAL"),
    ("Alerted", "AlertRecipient"),
    ("Arrival", "IncomingRequest"),
    ("Fate", "DeliveryOutcome"),
    ("Founding", "Bootstrap"),
    ("Given", "ParsedArgs"),
    ("Held", "SpendReservation or RateLimitReservation"),
    ("Hold", "SpendReservation"),
    ("Holder", "Principal"),
    ("Kept", "ResponseCache"),
    ("Leftover", "DrainBody"),
    ("Look", "RowWriter"),
    ("Made", "CachedResponse"),
    ("Opening", "ProtocolDetectTimeout"),
    ("Passing", "PassthroughBody"),
    ("Patience", "ResponseDeadline or ConnectionTimer"),
    ("Realm", "RoleScope"),
    ("Sheet", "Accumulator"),
    ("Shelf", "Shard"),
    ("Standing", "RateLimitStatus"),
    ("Trouble", "FailureKind"),
    ("Turn", "WriteGuard or Peer"),
    ("Turns", "SmoothWeightedRoundRobin"),
    ("Wanted", "RequestedAmounts"),
    ("Watched", "RequestMetrics"),
    ("assumed_tokens", "estimated_output_tokens"),
    ("begin_quietly", "begin_untracked"),
    ("begin_trial", "try_half_open"),
    ("committed_quietly", "commit_untracked"),
    ("courteous", "yield_every"),
    ("courtesy", "cooperative"),
    ("goes_down", "open"),
    ("hurry", "flush"),
    ("is_answered_by", "set_upstream"),
    ("is_spotless", "is_closed"),
    ("late_after", "set_deadline"),
    ("look_anew", "pinned_read"),
    ("made_of", "parent"),
    ("make_way", "invalidate_snapshots"),
    ("step_aside", "yield_now_if_due"),
    ("step_back", "lower_thread_priority"),
    ("strangers", "orphans"),
    ("talkative", "VERBOSE_TARGETS"),
    ("tally", "usage_accumulator"),
    ("unstore", "disable_store"),
    ("untold", "suppressed"),
];

/// A doc comment begins with its own subject or verb: neither with an indirect question, nor with a pronoun.
pub fn doc_sentences(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines: Vec<_> = file.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(text) = doc_text(line) else {
                continue;
            };
            let is_first = number == 0 || doc_text(lines[number - 1]).is_none();
            if let Some(words) = refused_beginning(text).filter(|_| is_first) {
                let is_inner = line.trim_start().starts_with("//!");
                let name = if is_inner {
                    "module".to_owned()
                } else {
                    documented_name(&lines[number..])
                };
                let message = format!("a doc comment must not begin with `{words}`");
                findings.push(file.at(number, &name, &message));
            }
        }
    }
    findings
}

fn doc_text(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))?;
    (!text.starts_with('/')).then(|| text.trim_start())
}

fn refused_beginning(text: &str) -> Option<String> {
    let mut words = text
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != ' ')
        .next()
        .unwrap_or_default()
        .split(' ');
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    if REFUSED_FIRST_WORDS.contains(&first) {
        return Some(first.to_owned());
    }
    let pair = REFUSED_FIRST_PAIRS
        .iter()
        .find(|pair| **pair == (first, second));
    pair.map(|(first, second)| format!("{first} {second}"))
}

/// Returns the name of what the doc comment at the start of `lines` is about.
fn documented_name(lines: &[&str]) -> String {
    const KEYWORDS: &[&str] = &[
        "pub",
        "crate",
        "super",
        "in",
        "async",
        "const",
        "static",
        "unsafe",
        "extern",
        "fn",
        "struct",
        "enum",
        "trait",
        "type",
        "mod",
        "union",
        "macro_rules",
        "impl",
        "use",
        "mut",
        "ref",
        "let",
    ];
    let mut depth = 0_isize;
    for line in lines.iter().map(|line| line.trim()) {
        let is_attribute = depth > 0 || line.starts_with("#[");
        if is_attribute {
            depth += count(line, '[') - count(line, ']');
            continue;
        }
        if line.starts_with("//") || line.is_empty() {
            continue;
        }
        let mut words = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty());
        let name = words.find(|word| !KEYWORDS.contains(word));
        return name.unwrap_or("item").to_owned();
    }
    "item".to_owned()
}

fn count(line: &str, wanted: char) -> isize {
    isize::try_from(line.matches(wanted).count()).unwrap_or(0)
}

/// A log line and an error message name their subject.
pub fn messages(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        tokens::each_run(tokens::of(file), &mut |run| {
            for (index, token) in run.iter().enumerate() {
                let Some((message, is_log)) = message(run, index) else {
                    continue;
                };
                let first = message.split(' ').next().unwrap_or_default();
                let is_pronoun = REFUSED_FIRST_WORDS
                    .iter()
                    .any(|word| word.eq_ignore_ascii_case(first));
                if is_pronoun || is_log && VERBS_WITHOUT_SUBJECT.contains(&first) {
                    let text = format!("a message must name its subject: `{message}`");
                    findings.push(file.at(tokens::line(token.span()), &message, &text));
                }
            }
        });
    }
    findings
}

/// Returns the message of the log macro or `#[error(…)]` at `index`, and true if it is a log line's.
fn message(run: &[TokenTree], index: usize) -> Option<(String, bool)> {
    let TokenTree::Ident(name) = &run[index] else {
        return None;
    };
    if !LOG_MACROS.iter().any(|known| name == known) {
        return None;
    }
    let is_log = tokens::is_punct(run.get(index + 1), '!');
    let arguments = tokens::group(run.get(index + 1 + usize::from(is_log)))?;
    let is_attribute = name == "error" && index == 0;
    if !is_log && !is_attribute {
        return None;
    }
    let arguments: Vec<_> = arguments.stream().into_iter().collect();
    let mut segments = arguments.split(|token| tokens::is_punct(Some(token), ','));
    let literal = segments.find_map(|segment| {
        let text = segment.first().and_then(tokens::string)?;
        (segment.len() == 1).then_some(text)
    })?;
    Some((literal, is_log))
}

/// Names of the private vocabulary do not come back.
pub fn house_words(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !is_this_rule(file)) {
        tokens::each_run(tokens::of(file), &mut |run| {
            for token in run {
                let TokenTree::Ident(ident) = token else {
                    continue;
                };
                if let Some((word, better)) = HOUSE_WORDS.iter().find(|(word, _)| ident == word) {
                    let message = format!("`{word}` must have the field's name: `{better}`");
                    findings.push(file.at(tokens::line(ident.span()), word, &message));
                }
            }
        });
    }
    findings
}

fn is_this_rule(file: &File) -> bool {
    file.path == "xtask/src/tidy/language.rs"
}

#[cfg(test)]
mod tests {
    use super::super::tests::{findings, places};
    use super::*;

    fn docs(text: &str) -> Vec<String> {
        places(doc_sentences, &[("a.rs", text)])
    }

    #[test]
    fn questions_and_pronouns_at_the_start_of_a_doc_comment_are_found() {
        for words in [
            "What it is.",
            "How many.",
            "Whether.",
            "One of them.",
            "It's there.",
            "The same, later.",
            "Since when it is open.",
        ] {
            assert_eq!(
                docs(&format!("/// {words}\nfn f() {{}}")),
                ["a.rs: f"],
                "{words}"
            );
        }
        assert_eq!(docs("//! What it serves."), ["a.rs: module"]);
    }

    #[test]
    fn subjects_and_verbs_at_the_start_of_a_doc_comment_pass() {
        let text = "/// Returns what it is.\n/// How many, too.\nfn f() {}\n//// What\n// What\n/// The samest.\n/// Items.";
        assert!(docs(text).is_empty());
        assert!(findings(doc_sentences, &[("a.md", "/// What")]).is_empty());
    }

    #[test]
    fn finding_of_a_doc_comment_names_the_documented_item() {
        let name = |item: &str| docs(&format!("/// What.\n{item}")).remove(0);
        assert_eq!(
            name("#[derive(\n    Debug,\n)]\npub(crate) struct Thing;"),
            "a.rs: Thing"
        );
        assert_eq!(name("pub const fn go() {}"), "a.rs: go");
        assert_eq!(name("    field: u8,"), "a.rs: field");
    }

    fn lines(text: &str) -> Vec<String> {
        places(messages, &[("a.rs", text)])
    }

    #[test]
    fn messages_without_a_subject_are_found() {
        assert_eq!(lines("warn!(upstream, \"is back\");"), ["a.rs: is back"]);
        assert_eq!(
            lines("tracing::error!(%error, \"nobody listens\")"),
            ["a.rs: nobody listens"]
        );
        assert_eq!(
            lines("#[error(\"what was sent\")] struct E;"),
            ["a.rs: what was sent"]
        );
    }

    #[test]
    fn messages_with_a_subject_pass() {
        assert!(lines("info!(name = \"is\", \"circuit opened\"); other!(\"is back\");").is_empty());
        assert!(lines("#[error(\"is not a date\")] struct E; self.error(\"what\")").is_empty());
    }

    #[test]
    fn house_words_are_found_as_whole_identifiers() {
        let text = "use a::Hold; const PATIENCE: u8 = 1; m!(tally); fn holder() {} // Hold";
        let found = places(house_words, &[("a.rs", text)]);
        assert_eq!(found, ["a.rs: Hold", "a.rs: PATIENCE", "a.rs: tally"]);
    }
}
