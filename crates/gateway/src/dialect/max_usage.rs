//! The most that a request may consume, and the most that this costs: a spend limit must have room for that much.

#[cfg(test)]
mod reservation_tests;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base::money::Factor;
use base::{Error, NanoDollars, Result, UnixTime};
use proxy::ApiFormat;
use serde::{Deserialize, Serialize};
use usage::{
    CostBounds, ItemName, Metric, ModelFact, ModelFacts, PriceBook, Quantities, RequestedTier,
    ToolCalls, UsageKind,
};

use super::Dialect;

/// The most tokens of an image in the input, for a model whose maximum is unknown.
const DEFAULT_IMAGE_TOKENS: i64 = 50_000;
/// The fewest tokens that an image in the input counts for, as in estimates of usage.
const MIN_IMAGE_TOKENS: i64 = 1_000;

/// The most that a request, or all requests of a batch, may consume. What only the model bounds is counted in its windows and
/// answers. The value is stored with the input of a batch, so the names of the fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MaxUsage {
    /// Input tokens: every byte of text may be one.
    pub(super) input: i64,
    /// Images in the input.
    #[serde(rename = "images_shown")]
    pub(super) input_images: i64,
    /// The context windows that text and images fit into; 0 if that is unknown.
    #[serde(rename = "windows")]
    pub(super) context_windows: i64,
    /// The context windows that may be filled by content that the request only names.
    pub(super) unseen_windows: i64,
    /// The first member that names such content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unseen: Option<Cow<'static, str>>,
    /// Output tokens.
    pub(super) output: i64,
    /// Answers whose length the request does not bound.
    pub(super) unbounded_answers: i64,
    pub(super) images: i64,
    pub(super) characters: i64,
    pub(super) seconds: i64,
    pub(super) web_searches: i64,
    pub(super) file_searches: i64,
    /// Containers of the code interpreter.
    pub(super) sessions: i64,
    /// True if the request does not bound the calls of its hosted tools.
    #[serde(rename = "has_endless_tools")]
    pub(super) has_unbounded_tools: bool,
    /// True if the request lets agents start others, whose number and output nothing bounds.
    #[serde(default)]
    pub(super) has_agents: bool,
    /// The service tier that the request asks for; of a batch, requests may ask for several.
    #[serde(skip)]
    pub(super) service_tier: Option<String>,
    /// The size of the context of web searches; `None` if that may be any, as in a batch.
    #[serde(skip)]
    pub(super) context_level: Option<String>,
    /// The memory of containers; `None` if that may be any, as in a batch.
    #[serde(skip)]
    pub(super) container_memory: Option<String>,
}

/// The prices, the model and the time by which a maximum cost is computed.
#[derive(Clone, Copy)]
pub(crate) struct CostBasis<'a> {
    pub(crate) prices: &'a PriceBook,
    pub(crate) facts: &'a ModelFacts,
    pub(crate) dialect: &'a Dialect,
    /// The upstream's name of the model.
    pub(crate) model: &'a str,
    /// The time of the request, or the earliest end of a batch.
    pub(crate) at: UnixTime,
    /// The factor of the upstream.
    pub(crate) uplift: Factor,
    /// The most that each request of a batch may consume; `None` outside batches.
    pub(crate) batch: Option<&'a MaxUsage>,
}

impl MaxUsage {
    /// Adds the most that another request may consume.
    pub(crate) fn add(&mut self, other: Self) {
        for (mine, others) in self.tokens_beside(&other) {
            *mine = mine.saturating_add(others);
        }
        let sums = [
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
        self.has_unbounded_tools |= other.has_unbounded_tools;
        self.has_agents |= other.has_agents;
        self.unseen = self.unseen.take().or(other.unseen);
    }

    /// Raises each number of tokens, images and windows to that of another request.
    pub(crate) fn widen(&mut self, other: &Self) {
        for (mine, others) in self.tokens_beside(other) {
            *mine = others.max(*mine);
        }
    }

    /// Returns each number of tokens, images and windows beside that of another request.
    fn tokens_beside(&mut self, other: &Self) -> [(&mut i64, i64); 6] {
        [
            (&mut self.input, other.input),
            (&mut self.input_images, other.input_images),
            (&mut self.context_windows, other.context_windows),
            (&mut self.unseen_windows, other.unseen_windows),
            (&mut self.output, other.output),
            (&mut self.unbounded_answers, other.unbounded_answers),
        ]
    }

    /// Returns the most input tokens of the request; `None` if that is unknown.
    pub(crate) fn max_input_tokens(&self, facts: &ModelFacts, model: &str) -> Option<i64> {
        self.max_input(facts.of(model))
    }

    /// Returns the most that this costs at the time of `basis`, or for a batch at any time from then on.
    ///
    /// # Errors
    /// 400: something that is charged is bounded neither by the request nor by the facts about the model.
    pub(crate) fn max_cost(&self, basis: &CostBasis<'_>) -> Result<NanoDollars> {
        let CostBasis {
            prices, model, at, ..
        } = *basis;
        let calls = self.tool_calls();
        let sells_calls = || {
            let mut asked = calls.iter().filter(|calls| calls.count > 0);
            asked.any(|calls| prices.sells_tool(model, at, calls.tool))
        };
        if self.has_unbounded_tools
            && (prices.sells(model, at, Metric::InputTokens) || sells_calls())
        {
            return Err(unbounded_tools(basis.dialect));
        }
        if self.has_agents && prices.sells(model, at, Metric::OutputTokens) {
            return Err(unbounded_agents());
        }
        let quantities = self.max_quantities(basis)?;
        let input = quantities.or_zero(Metric::InputTokens);
        let longest = basis
            .batch
            .map(|each| each.max_input_tokens(basis.facts, model));
        let bounds = CostBounds {
            kind: basis.dialect.kind,
            quantities,
            longest_input: longest
                .flatten()
                .map_or(input, |longest| longest.min(input)),
            tiers: RequestedTier::of(self.service_tier.as_deref()),
            uplift: basis.uplift,
        };
        let tools = prices.max_tool_cost(model, at, &calls, basis.uplift);
        Ok(tools
            + match basis.batch {
                Some(_) => prices.max_batch_cost(model, at, &bounds),
                None => prices.max_cost(model, at, &bounds),
            })
    }

    fn tool_calls(&self) -> [ToolCalls<'_>; 3] {
        let searches = ToolCalls {
            tool: ItemName::WebSearchCalls,
            count: self.web_searches,
            variant: self.context_level.as_deref(),
        };
        let sessions = ToolCalls {
            tool: ItemName::CodeInterpreterSessions,
            count: self.sessions,
            variant: self.container_memory.as_deref(),
        };
        let file_searches = ItemName::FileSearchCalls;
        let file_searches = ToolCalls::of_any_variant(file_searches, self.file_searches);
        [searches, file_searches, sessions]
    }

    /// Returns the most of each metric.
    ///
    /// # Errors
    /// 400: the most of a metric that is charged is unknown.
    fn max_quantities(&self, basis: &CostBasis<'_>) -> Result<Quantities> {
        let CostBasis {
            prices, model, at, ..
        } = *basis;
        let sells = |metric| prices.sells(model, at, metric);
        let fact = basis.facts.of(model);
        let input = match (self.max_input(fact), &self.unseen) {
            (Some(input), _) => input,
            (None, _) if !sells(Metric::InputTokens) => 0,
            (None, name) => return Err(unknown_input(model, name.as_deref())),
        };
        let longest = fact.and_then(|fact| fact.max_output_tokens.or(fact.context_window));
        let unbounded = match (self.unbounded_answers, longest) {
            (0, _) => 0,
            (answers, Some(longest)) => answers.saturating_mul(longest.into()),
            (_, None) if !sells(Metric::OutputTokens) => 0,
            (_, None) => return Err(unbounded_answer(basis.dialect, model)),
        };
        let mut output = self.output.saturating_add(unbounded);
        let max_speech = fact.and_then(|fact| fact.max_output_tokens);
        let max_speech = max_speech.filter(|_| basis.dialect.kind == UsageKind::AudioSpeeches);
        if let (Some(most), None) = (max_speech, basis.batch) {
            output = output.min(most.into());
        }
        let mut quantities = Quantities::default();
        for (metric, amount) in [
            (Metric::InputTokens, input),
            (Metric::OutputTokens, output),
            (Metric::Images, self.images),
            (Metric::Characters, self.characters),
            (Metric::Seconds, self.seconds),
        ] {
            quantities.set(metric, amount);
        }
        Ok(quantities)
    }

    /// Returns the most input tokens; `None` if that is unknown.
    fn max_input(&self, fact: Option<&ModelFact>) -> Option<i64> {
        let window = fact.and_then(|fact| fact.context_window).map(i64::from);
        let image = fact.and_then(|fact| fact.max_image_tokens).map(i64::from);
        let image = image.unwrap_or(DEFAULT_IMAGE_TOKENS).max(MIN_IMAGE_TOKENS);
        let images = self.input_images.saturating_mul(image);
        let mut shown = images.saturating_add(self.input);
        if let Some(window) = window.filter(|_| self.context_windows > 0) {
            shown = shown.min(window.saturating_mul(self.context_windows));
        }
        match (self.unseen_windows, window) {
            (0, _) => Some(shown),
            (_, None) => None,
            (windows, Some(window)) => Some(shown.saturating_add(window.saturating_mul(windows))),
        }
    }
}

fn unbounded_tools(dialect: &Dialect) -> Error {
    if dialect.api == ApiFormat::Anthropic {
        let message = "max_uses is missing: under a spend limit, each tool that the model server runs must say how often it \
                       may be used at the most.";
        return Error::invalid("max_uses", message);
    }
    let message = "max_tool_calls is missing: under a spend limit, a request with hosted tools must say how many calls of \
                   them it may make at the most.";
    Error::invalid("max_tool_calls", message)
}

fn unbounded_agents() -> Error {
    let message = "multi_agent must be left out, or its enabled must be false: under a spend limit, the number of agents and \
                   the length of what they write would have to be bounded.";
    Error::invalid("multi_agent", message)
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
    let name = dialect
        .max_token_fields
        .first()
        .copied()
        .unwrap_or("max_tokens");
    let message = format!(
        "{name} is missing: under a spend limit, a request must say how long its answer may be, for it is not known how long \
         the answers of the model '{model}' can be. The operator can set that: max_output_tokens in a [[model]] table."
    );
    Error::invalid(name, message)
}
