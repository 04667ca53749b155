//! The most that a request may consume: what a spend limit has to have room for.

use std::borrow::Cow;

use base::{Error, NanoDollars, Result, UnixTime};
use serde::{Deserialize, Serialize};
use usage::{ItemName, Kind, Metric, ModelFacts, PriceBook, Quantities};

use super::gathered::Gathered;
use super::tools::searches_web;
use super::{Call, Dialect};

/// The dearest image that is made and sold by its tokens has so many, and each sketch of it so many more.
pub(super) const IMAGE_TOKENS: i64 = 6_240;
const SKETCH_TOKENS: i64 = 100;
/// The most images that one is made from, a mask among them, at the hosted service; others may take more.
const MAX_EDITED_IMAGES: i64 = 17;
/// Speech that is sold by its tokens has no more than so many for each character, and for each second.
const CHARACTER_TOKENS: i64 = 8;
const SECOND_TOKENS: i64 = 20;
/// The most tokens that a model is shown an image as, if no more is known of it; and the fewest that are assumed, as where
/// nobody reports.
const DEFAULT_IMAGE_TOKENS: i64 = 50_000;
const MIN_IMAGE_TOKENS: i64 = 1_000;
/// The most that a request, or all requests of a batch, may consume. What only the model bounds is counted in its terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MaxUsage {
    /// Tokens of what a model reads: every byte of text may be one.
    pub(super) input: i64,
    /// Images that a model is shown.
    pub(super) images_shown: i64,
    /// The windows of context that the two above fit into; 0 if nothing is known of that.
    pub(super) windows: i64,
    /// Windows of context that may be filled by what the request only names.
    pub(super) unseen_windows: i64,
    /// The member that names something so; the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unseen: Option<Cow<'static, str>>,
    /// Tokens of what a model writes.
    pub(super) output: i64,
    /// Answers that the request does not bound.
    pub(super) unbounded_answers: i64,
    pub(super) images: i64,
    pub(super) characters: i64,
    pub(super) seconds: i64,
    pub(super) web_searches: i64,
    pub(super) file_searches: i64,
    pub(super) sessions: i64,
    /// True if hosted tools may be called as often as the model likes.
    pub(super) has_endless_tools: bool,
}

impl Call {
    /// The most that it may consume.
    ///
    /// # Errors
    /// 400: a number that bounds it is none.
    pub(crate) fn max_usage(&self, dialect: &Dialect) -> Result<MaxUsage> {
        let gathered = if self.is_json {
            Gathered::of(dialect, self.sent())?
        } else {
            Gathered::of_text(self.text_bytes())
        };
        let units = self.demand.units;
        let mut most = gathered.max_usage(dialect, searches_web(&self.model));
        match dialect.kind {
            Kind::Images => {
                let is_made_anew = dialect.source == Some("image.generation");
                let edited = if is_made_anew {
                    1
                } else {
                    let shown = std::mem::take(&mut most.images_shown);
                    MAX_EDITED_IMAGES.max(shown).max(self.file_parts)
                };
                let shown = edited.saturating_mul(IMAGE_TOKENS);
                most.input = most.input.saturating_add(shown);
                let sketches = gathered.sketches.saturating_mul(SKETCH_TOKENS);
                most.output = units.saturating_mul(IMAGE_TOKENS.saturating_add(sketches));
                most.images = units;
            }
            Kind::AudioSpeeches => {
                most.output = units.saturating_mul(CHARACTER_TOKENS);
                most.characters = units;
            }
            Kind::AudioTranscriptions => {
                let seconds = self.demand.max_seconds.max(units);
                most.output = seconds.saturating_mul(SECOND_TOKENS);
                most.input = most.input.saturating_add(most.output);
                most.seconds = seconds;
            }
            _ => {}
        }
        Ok(most)
    }
}

impl MaxUsage {
    /// Adds what another request may consume.
    pub(crate) fn add(&mut self, other: Self) {
        let sums = [
            (&mut self.input, other.input),
            (&mut self.images_shown, other.images_shown),
            (&mut self.windows, other.windows),
            (&mut self.unseen_windows, other.unseen_windows),
            (&mut self.output, other.output),
            (&mut self.unbounded_answers, other.unbounded_answers),
            (&mut self.images, other.images),
            (&mut self.characters, other.characters),
            (&mut self.seconds, other.seconds),
            (&mut self.web_searches, other.web_searches),
            (&mut self.file_searches, other.file_searches),
            (&mut self.sessions, other.sessions),
        ];
        for (mine, others) in sums {
            *mine = mine.saturating_add(others);
        }
        self.has_endless_tools |= other.has_endless_tools;
        self.unseen = self.unseen.take().or(other.unseen);
    }

    /// The most that it costs at `at`, or for a batch at any time from then on.
    ///
    /// # Errors
    /// 400: what would cost something is bounded neither by the request nor by what is known of the model.
    pub(crate) fn cost(
        &self,
        (prices, facts): (&PriceBook, &ModelFacts),
        dialect: &Dialect,
        model: &str,
        at: UnixTime,
        is_batch: bool,
    ) -> Result<NanoDollars> {
        let calls = [
            (ItemName::WebSearchCalls, self.web_searches),
            (ItemName::FileSearchCalls, self.file_searches),
            (ItemName::CodeInterpreterSessions, self.sessions),
        ];
        let sells = |metric| prices.sells(model, at, metric);
        let sells_calls = || {
            let mut asked = calls.iter().filter(|(_, count)| *count > 0);
            asked.any(|(tool, _)| prices.sells_tool(model, at, *tool))
        };
        if self.has_endless_tools && (sells(Metric::InputTokens) || sells_calls()) {
            return Err(endless_tools());
        }
        let fact = facts.of(model);
        let window = fact.and_then(|fact| fact.context_window).map(i64::from);
        let input = match (self.input(fact, window), &self.unseen) {
            (Some(input), _) => input,
            (None, _) if !sells(Metric::InputTokens) => 0,
            (None, name) => return Err(unknown_input(model, name.as_deref())),
        };
        let longest = fact.and_then(|fact| fact.max_output_tokens);
        let longest = longest.map(i64::from).or(window);
        let unbounded = match (self.unbounded_answers, longest) {
            (0, _) => 0,
            (answers, Some(longest)) => answers.saturating_mul(longest),
            (_, None) if !sells(Metric::OutputTokens) => 0,
            (_, None) => return Err(unbounded_answer(dialect, model)),
        };
        let mut quantities = Quantities::default();
        for (metric, amount) in [
            (Metric::InputTokens, input),
            (Metric::OutputTokens, self.output.saturating_add(unbounded)),
            (Metric::Images, self.images),
            (Metric::Characters, self.characters),
            (Metric::Seconds, self.seconds),
        ] {
            quantities.set(metric, amount);
        }
        let tools = prices.max_tool_cost(model, at, &calls);
        Ok(tools
            + if is_batch {
                prices.max_batch_cost(model, at, &quantities)
            } else {
                prices.max_cost(model, at, &quantities)
            })
    }

    /// Returns the most tokens that are read; `None` if that is not known.
    fn input(&self, fact: Option<&usage::ModelFact>, window: Option<i64>) -> Option<i64> {
        let image = fact.and_then(|fact| fact.max_image_tokens).map(i64::from);
        let image = image.unwrap_or(DEFAULT_IMAGE_TOKENS).max(MIN_IMAGE_TOKENS);
        let mut shown = (self.images_shown.saturating_mul(image)).saturating_add(self.input);
        if let Some(window) = window.filter(|_| self.windows > 0) {
            shown = shown.min(window.saturating_mul(self.windows));
        }
        match (self.unseen_windows, window) {
            (0, _) => Some(shown),
            (_, None) => None,
            (windows, Some(window)) => Some(shown.saturating_add(window.saturating_mul(windows))),
        }
    }
}

fn endless_tools() -> Error {
    let message = "max_tool_calls is missing: under a spend limit, a request with hosted tools must say how many calls of \
                   them it may make at the most.";
    Error::invalid("max_tool_calls", message)
}

fn unknown_input(model: &str, name: Option<&str>) -> Error {
    let name = name.unwrap_or("input");
    let message = format!(
        "{name}: how much the model reads is not known from the request. Under a spend limit that needs the context window \
         of the model '{model}', which the operator can set: context_window in a [[model]] table."
    );
    Error::invalid(name, message)
}

fn unbounded_answer(dialect: &Dialect, model: &str) -> Error {
    let name = dialect.maxima.first().copied().unwrap_or("max_tokens");
    let message = format!(
        "{name} is missing: under a spend limit, a request must say how long its answer may be, for it is not known how long \
         the answers of the model '{model}' can be. The operator can set that: max_output_tokens in a [[model]] table."
    );
    Error::invalid(name, message)
}
