//! The manual: one page that has every command.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::arguments::{Token, Words};
use crate::failure::Failure;
use crate::help;
use crate::registry::Registry;
use crate::run::{Program, print};

/// Writes the manual below the directory that `words` name with `--out` or `-o`.
pub fn write(program: &Program, mut words: Words) -> Result<ExitCode, Failure> {
    let usage = || Failure::Words(format!("Usage: {} manpages --out DIR", program.name));
    let mut flags_ended = false;
    let directory = match words.next(&mut flags_ended) {
        Some(Token::Flag(name, value)) if name == "out" || name == "o" => match value {
            Some(directory) => directory,
            None => match words.next(&mut flags_ended) {
                Some(Token::Word(directory)) => directory,
                _ => return Err(usage()),
            },
        },
        _ => return Err(usage()),
    };
    if words.next(&mut flags_ended).is_some() {
        return Err(usage());
    }
    let folder = Path::new(&directory).join("man1");
    let file = folder.join(format!("{}.1", program.name));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, page(program)))
        .with_context(|| format!("'{}' cannot be written", file.display()))?;
    print(&format!("{}\n", file.display()))
}

fn page(program: &Program) -> String {
    let name = &program.name;
    let mut page = format!(
        ".TH {} 1 \"\" \"{name} {}\" \"User Commands\"\n.SH NAME\n{name} \\- the Administration API from the command line\n",
        name.to_uppercase(),
        program.version
    );
    page += &section("GENERAL", &help::root(name));
    if let Some(others) = &program.others {
        for other in others
            .get_subcommands()
            .filter(|other| !other.is_hide_set())
        {
            let mut other = other
                .clone()
                .bin_name(format!("{name} {}", other.get_name()));
            let title = format!("{name} {}", other.get_name());
            page += &section(&title, &other.render_long_help().to_string());
        }
    }
    for command in Registry::new().commands() {
        page += &section(&command.words(), &help::command(name, &command));
    }
    page
}

/// A part of the page whose lines stay as they are.
fn section(title: &str, text: &str) -> String {
    let lines: Vec<_> = text.lines().map(escaped).collect();
    format!(".SH \"{title}\"\n.nf\n{}\n.fi\n", lines.join("\n"))
}

/// A line as roff reads it: plain ASCII, in which nothing is a request.
fn escaped(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    if line.starts_with(['.', '\'']) {
        escaped.push_str("\\&");
    }
    for letter in line.chars() {
        match letter {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            _ if letter.is_ascii() => escaped.push(letter),
            _ => escaped.push_str(&format!("\\[u{:04X}]", u32::from(letter))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn lines_are_plain_ascii_without_requests() {
        assert_eq!(escaped(".SH --a… \\@"), "\\&.SH \\-\\-a\\[u2026] \\e@");
    }
}
