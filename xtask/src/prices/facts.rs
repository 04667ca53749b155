//! The built-in facts about models: what the public map says is added to what the file has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::public_map::MapModel;
use super::{header, undated};

/// Keys in the order in which they are written.
const KEYS: &[&str] = &[
    "name",
    "kind",
    "context_window",
    "max_output_tokens",
    "max_image_tokens",
    "input_modalities",
    "output_modalities",
    "reasoning_efforts",
    "prompt_cache_retention",
];
/// Context windows of models for which the map has the input alone, without the output.
const SUMMED_WINDOWS: &[i64] = &[400_000, 1_050_000];

/// The facts about models as a file.
#[derive(Clone, Debug, Default)]
pub struct FactsFile {
    header: String,
    models: BTreeMap<String, Table>,
}

impl FactsFile {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self> {
        let mut all: Table = text.parse().context("the facts are not TOML")?;
        let tables = match all.remove("model") {
            Some(Value::Array(tables)) => tables,
            _ => Vec::new(),
        };
        let mut facts = Self {
            header: header::hand_written(text),
            ..Self::default()
        };
        for table in tables {
            let Value::Table(fields) = table else {
                bail!("model is not a list of tables");
            };
            let name = fields.get("name").and_then(Value::as_str);
            let name = name.context("a [[model]] table has no name")?.to_owned();
            facts.models.insert(name, fields);
        }
        Ok(facts)
    }

    /// Adds what the map says of models. Limits of tokens only grow, and lists of modalities too; other facts stay.
    pub fn update<'a>(&mut self, models: impl Iterator<Item = &'a MapModel>) {
        for model in models {
            let name = &model.name;
            let base = undated(name).and_then(|(base, _)| self.models.get(base));
            let own = self.models.get(name);
            let known = own.or(base).cloned().unwrap_or_default();
            let mut fields = merged(&known, model);
            if fields == known {
                continue;
            }
            fields.insert("name".to_owned(), Value::String(name.clone()));
            self.models.insert(name.clone(), fields);
        }
    }

    /// Writes the file, with `source` in the comments at the top.
    pub fn write(&self, source: &str) -> String {
        let mut text = header::with_source(&self.header, source);
        let tables: Vec<String> = self.models.values().map(spelled).collect();
        text.push_str(&tables.join("\n"));
        text
    }
}

/// Returns the facts with what the map says.
fn merged(known: &Table, model: &MapModel) -> Table {
    let mut fields = known.clone();
    let output = model.max_output.map(i64::from);
    for (key, limit) in [
        ("context_window", window(model)),
        ("max_output_tokens", output),
    ] {
        let had = known.get(key).and_then(Value::as_integer);
        if let Some(limit) = limit.max(had) {
            fields.insert(key.to_owned(), Value::Integer(limit));
        }
    }
    if let Some(kind) = kind(&model.mode)
        && !fields.contains_key("kind")
    {
        fields.insert("kind".to_owned(), Value::String(kind.to_owned()));
    }
    for (key, modalities) in [
        ("input_modalities", &model.input_modalities),
        ("output_modalities", &model.output_modalities),
    ] {
        let had = known
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let had = had.filter_map(Value::as_str).map(str::to_owned);
        let all: BTreeSet<String> = modalities.iter().cloned().chain(had).collect();
        if !all.is_empty() {
            fields.insert(key.to_owned(), sorted(&all));
        }
    }
    fields
}

/// Returns the context window: the maximum input, which the map gives with the output or without it.
fn window(model: &MapModel) -> Option<i64> {
    let input = i64::from(model.max_input?);
    let sum = input + i64::from(model.max_output.unwrap_or(0));
    Some(if SUMMED_WINDOWS.contains(&sum) {
        sum
    } else {
        input
    })
}

fn kind(mode: &str) -> Option<&'static str> {
    match mode {
        "chat" | "responses" | "completion" => Some("chat"),
        "embedding" => Some("embedding"),
        "image_generation" => Some("image"),
        "audio_transcription" | "audio_speech" => Some("audio"),
        "moderation" => Some("moderation"),
        _ => None,
    }
}

/// Returns modalities in the order text, image, audio, then others.
fn sorted(modalities: &BTreeSet<String>) -> Value {
    let place = |name: &str| {
        ["text", "image", "audio"]
            .iter()
            .position(|known| *known == name)
    };
    let mut all: Vec<&String> = modalities.iter().collect();
    all.sort_by_key(|name| (place(name).unwrap_or(usize::MAX), *name));
    Value::Array(all.into_iter().cloned().map(Value::String).collect())
}

fn spelled(fields: &Table) -> String {
    let place = |key: &str| KEYS.iter().position(|known| *known == key);
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(key, _)| (place(key).unwrap_or(KEYS.len()), *key));
    let lines = sorted
        .into_iter()
        .map(|(key, value)| format!("{key} = {value}\n"));
    lines.fold("[[model]]\n".to_owned(), |text, line| text + &line)
}
