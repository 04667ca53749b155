//! The arguments of a command, taken from clap's matches.

use clap::ArgMatches;
use serde_json::Value as Json;

use crate::api::{ApiCommand, CommandFlag};
use crate::command_tree::{EXTRA_WORDS, MAX_ITEMS, flag_id, word_id};
use crate::failure::Failure;
use crate::value::{self, FlagValue};

/// The arguments of a command.
#[derive(Default)]
pub struct ParsedArgs {
    /// The values of its flags, in the order in which they were given; values of words come last.
    pub values: Vec<FlagValue>,
    /// The largest number of items of a list to show; `None` for all.
    pub max_items: Option<u64>,
}

impl ParsedArgs {
    /// Takes the arguments of `command` from what clap matched for its verb.
    ///
    /// # Errors
    /// There are more words than path parameters.
    pub fn new(command: &ApiCommand, matches: &ArgMatches) -> Result<Self, Failure> {
        let mut values: Vec<(usize, FlagValue)> = Vec::new();
        for (flag, of_flag) in command.flags.iter().enumerate() {
            let nested = (0..of_flag.field.fields.len()).map(Some);
            for nested in std::iter::once(None).chain(nested) {
                values.extend(occurrences(matches, flag, nested));
            }
        }
        values.sort_by_key(|(index, _)| *index);
        let max_items = matches.try_get_one::<i64>(MAX_ITEMS).ok().flatten();
        let mut parsed = Self {
            values: values.into_iter().map(|(_, value)| value).collect(),
            max_items: max_items.and_then(|number| u64::try_from(*number).ok()),
        };
        parsed.place_words(command, matches)?;
        Ok(parsed)
    }

    /// Returns the occurrences of the flag at this position.
    pub fn of_flag(&self, position: usize) -> impl Iterator<Item = &FlagValue> {
        let values = self.values.iter();
        values.filter(move |value| value.flag == position)
    }

    /// Fills the path parameters that no flag has set with the words, in their order.
    fn place_words(&mut self, command: &ApiCommand, matches: &ArgMatches) -> Result<(), Failure> {
        let path_flags: Vec<&CommandFlag> = command.path_flags().collect();
        let words = (0..path_flags.len()).map(word_id);
        let words = words.chain([EXTRA_WORDS.to_owned()]);
        let words = words.filter_map(|id| matches.get_many::<String>(&id));
        let mut words = words.flatten().cloned();
        for (position, flag) in path_flags.into_iter().enumerate() {
            if self.of_flag(position).next().is_some() {
                continue;
            }
            let Some(text) = words.next() else { break };
            let value = value::parse(flag.field.value_type, &text);
            self.values.push(FlagValue {
                flag: position,
                nested: None,
                value: value
                    .map_err(|reason| Failure::Usage(format!("--{} {reason}", flag.name)))?,
                text,
            });
        }
        let extra: Vec<String> = words.collect();
        if extra.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "Unexpected extra arguments: [{}]",
            extra.join(" ")
        )))
    }
}

/// Returns the occurrences of a flag, or of one field of its value, each with its index among all arguments.
fn occurrences(
    matches: &ArgMatches,
    flag: usize,
    nested: Option<usize>,
) -> impl Iterator<Item = (usize, FlagValue)> {
    let id = flag_id(flag, nested);
    let indices = matches.indices_of(&id).into_iter().flatten();
    let texts = matches.get_raw(&id).into_iter().flatten();
    let values = matches.get_many::<Json>(&id).into_iter().flatten();
    indices
        .zip(texts)
        .zip(values)
        .map(move |((index, text), value)| {
            let value = FlagValue {
                flag,
                nested,
                text: text.to_string_lossy().into_owned(),
                value: value.clone(),
            };
            (index, value)
        })
}
