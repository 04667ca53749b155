//! Takes a line of words apart: global flags, the command, its flags, and what stands without a flag.

use std::collections::VecDeque;

use crate::command::{Answer, Command};
use crate::failure::Failure;
use crate::globals::{self, GLOBALS, Globals};
use crate::nearest::{nearest, question};
use crate::value::boolean;

/// Words that wait to be looked at.
pub struct Words(VecDeque<String>);

/// One of them.
pub enum Token {
    /// `--name`, `--name=value` or `-n`.
    Flag(String, Option<String>),
    /// Any other.
    Word(String),
}

/// A value that was given, and to which flag of its command.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    /// The flag, by its position.
    pub flag: usize,
    /// The field within the flag's value, by its position.
    pub inner: Option<usize>,
    /// The value as it was typed.
    pub text: String,
}

/// What stands behind the words of a command.
#[derive(Default)]
pub struct Arguments {
    /// The values of its flags, in the order in which they stand.
    pub given: Vec<Given>,
    /// How many items of a list to show at most.
    pub max_items: Option<u64>,
}

impl Words {
    /// These.
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// The next one; after `--` nothing is a flag.
    pub fn next(&mut self, flags_ended: &mut bool) -> Option<Token> {
        let word = self.0.pop_front()?;
        if *flags_ended {
            return Some(Token::Word(word));
        }
        if word == "--" {
            *flags_ended = true;
            return self.next(flags_ended);
        }
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            return Some(Token::Word(word));
        };
        if flag.is_empty() {
            return Some(Token::Word(word));
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        Some(Token::Flag(name.to_owned(), value))
    }

    /// The value of the flag `name`, which stands with it or is the next word.
    fn value(
        &mut self,
        name: &str,
        with_it: Option<String>,
        is_switch: bool,
    ) -> Result<String, Failure> {
        if is_switch {
            let Some(text) = with_it else {
                return Ok("true".to_owned());
            };
            let value =
                boolean(&text).map_err(|reason| Failure::Words(format!("--{name} {reason}")))?;
            return Ok(value.to_string());
        }
        with_it
            .or_else(|| self.0.pop_front())
            .ok_or_else(|| Failure::Words(format!("--{name} needs a value")))
    }

    /// Reads global flags up to the next word that is none, which is given back.
    pub fn leading(&mut self, globals: &mut Globals) -> Result<Option<String>, Failure> {
        let mut flags_ended = false;
        while let Some(token) = self.next(&mut flags_ended) {
            match token {
                Token::Word(word) => return Ok(Some(word)),
                Token::Flag(name, value) => self.global(&name, value, globals, &[])?,
            }
        }
        Ok(None)
    }

    fn global(
        &mut self,
        name: &str,
        value: Option<String>,
        globals: &mut Globals,
        others: &[String],
    ) -> Result<(), Failure> {
        let Some(global) = globals::find(name) else {
            let known = GLOBALS.iter().map(|global| global.name);
            let like = nearest(name, others.iter().map(String::as_str).chain(known));
            let like = like.map(|name| format!("--{name}"));
            return Err(Failure::Words(format!(
                "There is no flag '--{name}'.{}",
                question(like.as_deref())
            )));
        };
        let value = self.value(global.name, value, global.value.is_none())?;
        globals.set(global, value);
        Ok(())
    }

    /// Reads everything that is left as the arguments of `command`. Its own flags hide global ones of the same name.
    pub fn arguments(
        mut self,
        command: &Command,
        globals: &mut Globals,
    ) -> Result<Arguments, Failure> {
        let mut arguments = Arguments::default();
        let mut words = Vec::new();
        let mut flags_ended = false;
        while let Some(token) = self.next(&mut flags_ended) {
            let (name, value) = match token {
                Token::Word(word) => {
                    words.push(word);
                    continue;
                }
                Token::Flag(name, value) => (name, value),
            };
            if let Some((flag, inner, is_switch)) = find(command, &name) {
                let text = self.value(&name, value, is_switch)?;
                arguments.given.push(Given { flag, inner, text });
            } else if name == "max-items" && command.answer == Answer::Items {
                let text = self.value(&name, value, false)?;
                arguments.max_items = max_items(&text)?;
            } else {
                self.global(&name, value, globals, &names(command))?;
            }
        }
        arguments.place(command, words)?;
        Ok(arguments)
    }
}

impl Arguments {
    /// Words without a flag fill the path's parameters that no flag has filled, in their order.
    fn place(&mut self, command: &Command, words: Vec<String>) -> Result<(), Failure> {
        let is_given = |flag| self.given.iter().any(|given| given.flag == flag);
        let open: Vec<usize> = (0..command.positionals().count())
            .filter(|flag| !is_given(*flag))
            .collect();
        if words.len() > open.len() {
            let extra = words[open.len()..].join(" ");
            return Err(Failure::Words(format!(
                "Unexpected extra arguments: [{extra}]"
            )));
        }
        let placed = open.into_iter().zip(words);
        self.given.extend(placed.map(|(flag, text)| Given {
            flag,
            inner: None,
            text,
        }));
        Ok(())
    }
}

/// The flag with this name, by its position and that of the field within it, and whether it needs no value.
fn find(command: &Command, name: &str) -> Option<(usize, Option<usize>, bool)> {
    command
        .flags
        .iter()
        .enumerate()
        .find_map(|(position, flag)| {
            if flag.name == name {
                return Some((position, None, flag.field.is_switch()));
            }
            let mut inner = flag.inner().enumerate();
            let (field, _) = inner.find(|(_, (inner, _))| inner == name)?;
            Some((position, Some(field), false))
        })
}

/// The names of all its own flags.
pub fn names(command: &Command) -> Vec<String> {
    let paging = (command.answer == Answer::Items).then(|| "max-items".to_owned());
    command
        .flags
        .iter()
        .flat_map(|flag| {
            let inner = flag.inner().map(|(name, _)| name);
            std::iter::once(flag.name.clone()).chain(inner)
        })
        .chain(paging)
        .collect()
}

fn max_items(text: &str) -> Result<Option<u64>, Failure> {
    match crate::value::integer(text) {
        Ok(-1) => Ok(None),
        Ok(number) if number >= 0 => Ok(u64::try_from(number).ok()),
        _ => Err(Failure::Words(format!(
            "--max-items must be a number of items, or -1 for all, not '{text}'"
        ))),
    }
}
