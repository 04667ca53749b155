//! Tokens of Rust files: what a rule reads where the syntax tree does not look inside, as in macros.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

use super::File;

/// Returns the tokens of a file; none unless it is Rust.
pub fn of(file: &File) -> TokenStream {
    if file.is_rust() {
        file.text.parse().unwrap_or_default()
    } else {
        TokenStream::new()
    }
}

/// Calls `visit` with each run of sibling tokens: those of the file, then those of each group in it.
pub fn each_run(stream: TokenStream, visit: &mut impl FnMut(&[TokenTree])) {
    let run: Vec<_> = stream.into_iter().collect();
    visit(&run);
    for token in run {
        if let TokenTree::Group(group) = token {
            each_run(group.stream(), visit);
        }
    }
}

/// Returns the line of a token, counted from 0.
pub fn line(span: Span) -> usize {
    span.start().line.saturating_sub(1)
}

/// Returns the text of a string literal without its quotes; escapes stay as they are written.
pub fn string(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else {
        return None;
    };
    let text = literal.to_string();
    let inner = text.trim_start_matches('r').trim_matches('#');
    Some(inner.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

/// True if the token is this punctuation.
pub fn is_punct(token: Option<&TokenTree>, expected: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == expected)
}

/// Returns the group if the token is one in parentheses, brackets or braces.
pub fn group(token: Option<&TokenTree>) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() != Delimiter::None => Some(group),
        _ => None,
    }
}
