//! The manual: one page with every command.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::Roff;

use crate::api::Api;
use crate::command_tree;
use crate::failure::Failure;
use crate::help;
use crate::program::{Program, print};

/// Writes the page below `directory`, and prints its path.
pub fn write(program: &Program, directory: &str) -> Result<ExitCode, Failure> {
    let folder = Path::new(directory).join("man1");
    let file = folder.join(format!("{}.1", program.name));
    let page = page(program)?;
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, page))
        .with_context(|| format!("'{}' cannot be written", file.display()))?;
    print(&format!("{}\n", file.display()))
}

fn page(program: &Program) -> io::Result<String> {
    let name = &program.name;
    let root = Man::new(command_tree::root(name).version(program.version))
        .title(name.to_uppercase())
        // An empty date would be left out, and the version would take its place.
        .date(" ")
        .manual("User Commands");
    let mut page = Vec::new();
    root.render_title(&mut page)?;
    root.render_name_section(&mut page)?;
    root.render_options_section(&mut page)?;
    let others = program.others.iter().flat_map(Command::get_subcommands);
    for other in others.filter(|other| !other.is_hide_set()) {
        let title = format!("{name} {}", other.get_name());
        section(&mut page, &title, other.clone().bin_name(&title))?;
    }
    for command in Api::get().commands() {
        section(&mut page, &command.name(), help::verb(name, &command))?;
    }
    Ok(with_one_preamble(&String::from_utf8_lossy(&page)))
}

/// Removes the preamble that `roff` writes before each section, but for one behind the title.
fn with_one_preamble(page: &str) -> String {
    let preamble = Roff::new().render();
    let page = page.replace(&preamble, "");
    let (title, sections) = page.split_once('\n').unwrap_or((&page, ""));
    format!("{title}\n{preamble}{sections}")
}

/// Writes the section of one command. Its own sections become subsections.
fn section(page: &mut Vec<u8>, title: &str, command: Command) -> io::Result<()> {
    Roff::new().control("SH", [title]).to_writer(page)?;
    let has_options = command.get_arguments().any(|arg| !arg.is_hide_set());
    let has_subcommands = command.get_subcommands().any(|other| !other.is_hide_set());
    let has_notes = command.get_after_help().is_some();
    let manual = Man::new(command);
    let mut sections = Vec::new();
    manual.render_synopsis_section(&mut sections)?;
    manual.render_description_section(&mut sections)?;
    if has_options {
        manual.render_options_section(&mut sections)?;
    }
    if has_subcommands {
        manual.render_subcommands_section(&mut sections)?;
    }
    if has_notes {
        manual.render_extra_section(&mut sections)?;
    }
    let sections = String::from_utf8_lossy(&sections).replace("\n.SH ", "\n.SS ");
    page.write_all(sections.as_bytes())
}
