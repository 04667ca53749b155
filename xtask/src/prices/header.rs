//! The comments at the top of a generated file: written by people, but for the paragraph about its source.

/// The beginning of the paragraph that is generated.
const SOURCE: &str = "# Source: ";
/// Columns of a line.
const MAX_LINE_LEN: usize = 120;

/// Returns the comments before the first table, without the paragraph about the source.
pub fn hand_written(text: &str) -> String {
    let comments = text.lines().take_while(|line| !line.starts_with('['));
    let comments: Vec<&str> = comments.collect();
    let comments = comments.join("\n");
    let paragraphs = comments.split("\n\n").flat_map(|part| part.split("\n#\n"));
    let written = paragraphs.map(str::trim);
    let written = written.filter(|part| !part.is_empty() && !part.starts_with(SOURCE));
    written.collect::<Vec<_>>().join("\n#\n")
}

/// Returns the comments, with a paragraph about the source at their end, and an empty line.
pub fn with_source(hand_written: &str, source: &str) -> String {
    let mut text = String::from(hand_written);
    if !text.is_empty() {
        text.push_str("\n#\n");
    }
    let mut line = String::from(SOURCE.trim_end());
    for word in source.split_whitespace() {
        if line.len() + 1 + word.len() > MAX_LINE_LEN {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text + &line + "\n\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paragraph_about_the_source_is_replaced_and_others_stay() {
        let first = with_source("# One.\n# Still one.\n#\n# Two.", "a map of 2026");
        assert_eq!(
            first,
            "# One.\n# Still one.\n#\n# Two.\n#\n# Source: a map of 2026\n\n"
        );
        let file = format!("{first}[[price]]\n# not at the top\n");
        let kept = hand_written(&file);
        assert_eq!(kept, "# One.\n# Still one.\n#\n# Two.");
        let words = "word ".repeat(40);
        let next = with_source(&kept, &words);
        assert_eq!(hand_written(&next), kept);
        assert!(next.lines().all(|line| line.len() <= MAX_LINE_LEN));
    }
}
