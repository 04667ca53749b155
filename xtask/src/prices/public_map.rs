//! The public price map: an object of models whose fields are prices per unit and facts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;

use super::amount::Amount;
use super::condition::Condition;
use super::map_field::{MapField, Priced};
use super::table::{Cells, Price};

/// Providers of the published map whose models have the prices of the hosted service.
const PROVIDERS: &[&str] = &["openai", "text-completion-openai"];
/// Modes whose requests nothing here serves or meters.
const REFUSED_MODES: &[&str] = &["video_generation"];

/// A model of the map.
#[derive(Clone, Debug, Default)]
pub struct MapModel {
    /// Name of the model.
    pub name: String,
    /// Endpoint family, such as `chat`.
    pub mode: String,
    /// Prices in the units of a price book.
    pub cells: Cells,
    /// Maximum input tokens.
    pub max_input: Option<u32>,
    /// Maximum output tokens.
    pub max_output: Option<u32>,
    /// Input modalities, as far as the map says so.
    pub input_modalities: BTreeSet<String>,
    /// Output modalities, as far as the map says so.
    pub output_modalities: BTreeSet<String>,
}

/// The models of a map, and notes for the person who reviews the import.
#[derive(Debug, Default)]
pub struct PublicMap {
    /// Models by name.
    pub models: BTreeMap<String, MapModel>,
    /// Left out models and rounded prices, in words.
    pub notes: Vec<String>,
}

type Fields = BTreeMap<String, Box<RawValue>>;

impl PublicMap {
    /// Reads a map: the object of models, alone or as the member `models` of an object.
    pub fn parse(text: &str) -> Result<Self> {
        let mut all: Fields = serde_json::from_str(text).context("the map is not a JSON object")?;
        if let Some(models) = all.remove("models") {
            all = serde_json::from_str(models.get()).context("models is not an object")?;
        }
        let mut map = Self::default();
        for (name, fields) in &all {
            let fields: Fields = serde_json::from_str(fields.get())
                .with_context(|| format!("{name} is not an object"))?;
            map.add(name, &fields)
                .with_context(|| format!("the model {name}"))?;
        }
        if map.models.is_empty() {
            bail!("the map has no model with a price");
        }
        Ok(map)
    }

    fn add(&mut self, name: &str, fields: &Fields) -> Result<()> {
        let provider = text_of(fields, "litellm_provider")?;
        if provider.is_some_and(|provider| !PROVIDERS.contains(&provider.as_str())) {
            return Ok(());
        }
        let mode = text_of(fields, "mode")?.unwrap_or_default();
        if REFUSED_MODES.contains(&mode.as_str()) {
            self.notes.push(format!("{name} left out: mode {mode}"));
            return Ok(());
        }
        let mut model = MapModel {
            name: name.to_owned(),
            mode,
            max_input: number_of(fields, "max_input_tokens")?,
            max_output: number_of(fields, "max_output_tokens")?,
            ..MapModel::default()
        };
        for (field, value) in fields {
            self.add_price(&mut model, field, value.get())?;
        }
        self.notes.extend(model.remove_cheap_cache_writes());
        model.complete_prices();
        model.set_modalities(fields)?;
        if model.cells.is_empty() {
            self.notes.push(format!("{name} left out: it has no price"));
            return Ok(());
        }
        self.models.insert(name.to_owned(), model);
        Ok(())
    }

    /// Adds the prices of a field, if it has any.
    fn add_price(&mut self, model: &mut MapModel, field: &str, json: &str) -> Result<()> {
        let name = &model.name;
        match MapField::of(field) {
            MapField::Fact => {}
            MapField::Unknown => self.notes.push(format!("{name}: {field} is not read")),
            MapField::Price(priced) => {
                let Some(number) = number_text(json)? else {
                    return Ok(());
                };
                let (amount, is_exact) = Amount::of_units(&number, priced.units)?;
                if !is_exact {
                    let note = format!("{name}: {field} is rounded to {amount}");
                    self.notes.push(note);
                }
                let prices = model.cells.entry(priced.condition).or_default();
                let price = Price::One(amount);
                match prices.get(priced.key) {
                    // Two fields for one price, such as those of a second of input and of output.
                    Some(known) if *known != price => {
                        self.notes
                            .push(format!("{name}: {field} is another {}", priced.key));
                    }
                    _ => {
                        prices.insert(priced.key.to_owned(), price);
                    }
                }
            }
            MapField::SearchSizes => {
                let base = model.cells.entry(Condition::default()).or_default();
                let price = search_price(json)?;
                base.extend(price.map(|price| ("web_search".to_owned(), price)));
            }
        }
        Ok(())
    }
}

impl MapModel {
    /// Returns a price of the model under no condition.
    fn base_price(&self, key: &str) -> Option<Amount> {
        match self.cells.get(&Condition::default())?.get(key)? {
            Price::One(amount) => Some(*amount),
            Price::Variants(_) => None,
        }
    }

    /// Removes prices of cache writes below that of the input, which are prices of cache reads in the wrong field. Returns
    /// a note about them.
    fn remove_cheap_cache_writes(&mut self) -> Option<String> {
        let write = self.base_price("cache_write")?;
        if write >= self.base_price("input")? {
            return None;
        }
        for cell in self.cells.values_mut() {
            cell.retain(|key, _| !key.starts_with("cache_write"));
        }
        let name = &self.name;
        Some(format!(
            "{name}: cache_write {write} is below the input, and left out"
        ))
    }

    /// Removes prices that would charge twice, and adds those that a kind of model implies.
    fn complete_prices(&mut self) {
        let is_sold_by_token = ["input", "output"].map(|key| self.base_price(key)) != [None, None];
        let output = self.base_price("output");
        let (audio, image) = (
            self.base_price("output_audio"),
            self.base_price("output_image"),
        );
        // Prices of a second or a character repeat those of tokens.
        let repeats = |key: &str| is_sold_by_token && matches!(key, "second" | "character");
        let has_answer = !matches!(self.mode.as_str(), "embedding" | "moderation");
        for cell in self.cells.values_mut() {
            cell.retain(|key, _| !repeats(key) && (has_answer || key != "output"));
        }
        let output_of = |amount| ("output".to_owned(), Price::One(amount));
        let base = self.cells.entry(Condition::default()).or_default();
        match self.mode.as_str() {
            // Speech is all audio, and reports may not say so.
            "audio_speech" if audio > output => base.extend(audio.map(output_of)),
            // Tokens of an answer that are not said to be text are those of images.
            "image_generation" if output.is_none() => base.extend(image.map(output_of)),
            _ => {}
        }
        self.cells.retain(|_, cell| !cell.is_empty());
    }

    fn set_modalities(&mut self, fields: &Fields) -> Result<()> {
        let base = self.cells.get(&Condition::default());
        let has_price = |key: &str| base.is_some_and(|base| base.contains_key(key));
        let (input, output): (&[&str], &[&str]) = match self.mode.as_str() {
            "completion" => (&["text"], &["text"]),
            "embedding" => (&["text"], &[]),
            "image_generation" => (&["text"], &["image"]),
            "audio_transcription" => (&["audio"], &["text"]),
            "audio_speech" => (&["text"], &["audio"]),
            // Whether a chat model reads images is not known from its mode, so its input is known from more only.
            "chat" | "responses" | "realtime" if has_price("input_audio") => (&["text"], &["text"]),
            "chat" | "responses" => (&[], &["text"]),
            _ => (&[], &[]),
        };
        let listed = |field| -> Result<Option<BTreeSet<String>>> {
            let list = fields.get(field).map(|list| list.get());
            let list = list.map(serde_json::from_str).transpose();
            list.with_context(|| format!("{field} is not a list of texts"))
        };
        let owned = |known: &[&str]| known.iter().map(|one| (*one).to_owned()).collect();
        self.input_modalities = owned(input);
        self.output_modalities = owned(output);
        if let Some(known) = listed("supported_modalities")? {
            self.input_modalities = known;
        }
        if let Some(known) = listed("supported_output_modalities")? {
            self.output_modalities = known;
        }
        if fields.get("supports_vision").map(|is| is.get()) == Some("true") {
            let both = ["text", "image"].map(str::to_owned);
            self.input_modalities.extend(both);
        }
        for modality in ["audio", "image"] {
            if has_price(&format!("input_{modality}")) {
                self.input_modalities.insert(modality.to_owned());
            }
            if has_price(&format!("output_{modality}")) {
                self.output_modalities.insert(modality.to_owned());
            }
        }
        Ok(())
    }
}

/// Returns the price of searches: one, or one for each size of the context if they differ.
fn search_price(json: &str) -> Result<Option<Price>> {
    let sizes: Fields = serde_json::from_str(json).context("the sizes are not an object")?;
    let mut variants = BTreeMap::new();
    for (size, number) in &sizes {
        let Some(number) = number_text(number.get())? else {
            continue;
        };
        let name = size.strip_prefix("search_context_size_").unwrap_or(size);
        let (amount, _) = Amount::of_units(&number, Priced::CALL_COUNT)?;
        variants.insert(name.to_owned(), amount);
    }
    let amounts: BTreeSet<Amount> = variants.values().copied().collect();
    Ok(match amounts.len() {
        0 => None,
        1 => amounts.first().copied().map(Price::One),
        _ => Some(Price::Variants(variants)),
    })
}

fn text_of(fields: &Fields, name: &str) -> Result<Option<String>> {
    let value = fields.get(name).map(|value| value.get());
    let text = value.map(serde_json::from_str).transpose();
    text.with_context(|| format!("{name} is not a text"))
}

/// Returns a count of tokens. Some maps have a text here, for a limit that is not known.
fn number_of(fields: &Fields, name: &str) -> Result<Option<u32>> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    let number = number_text(value.get())?.with_context(|| format!("{name} is null"))?;
    Ok(number.parse().ok().filter(|number| *number > 0))
}

/// Returns the text of a number: a JSON number as it is written, or the content of a JSON string; `None` for null.
fn number_text(json: &str) -> Result<Option<String>> {
    match json.as_bytes().first() {
        Some(b'"') => Ok(Some(serde_json::from_str(json)?)),
        Some(b'n') => Ok(None),
        _ => Ok(Some(json.to_owned())),
    }
}
