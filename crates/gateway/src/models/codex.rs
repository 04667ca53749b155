//! The list of models in the format of `@openai/codex`, which asks for it with `client_version` in the query.
//!
//! Codex takes the list whole or not at all, so every member is there that its versions since 0.98 require. A member that
//! nothing here knows has the value that Codex assumes for a model that it does not know.

use std::collections::BTreeSet;

use base::ModelKind;
use serde::Serialize;
use usage::{Modality, ModelFact};

use super::{ModelCatalog, known};

/// The instructions of a model. Codex sends none of its own for a model whose catalog entry has some, and refuses a
/// catalog whose entries have none.
const BASE_INSTRUCTIONS: &str = "\
You are a coding agent. You and the user work in the same folder, and you have tools that read it, change it and run \
commands in it.

- Read the code and the documents that matter before you change anything, and follow the instructions of the repository \
(AGENTS.md).
- Do what the user asks, completely, in the smallest change that is right. Change nothing else, and undo no change that is \
not yours.
- Run the tests and checks that the change concerns, as far as you can, and repair what fails.
- Ask before you do what cannot be undone, or what reaches beyond the folder, unless the user has asked for exactly that.
- At the end, say briefly what you changed, how you checked it, and what is left. Be honest about what you did not do.";
/// Bytes of the output of a tool that Codex keeps.
const MAX_TOOL_OUTPUT_BYTES: u32 = 10_000;

/// The catalog of models.
#[derive(Serialize)]
pub(super) struct Catalog<'a> {
    models: Vec<CodexModel<'a>>,
}

#[derive(Serialize)]
struct CodexModel<'a> {
    slug: &'a str,
    display_name: &'a str,
    supported_reasoning_levels: Vec<ReasoningLevel<'a>>,
    shell_type: &'static str,
    visibility: &'static str,
    supported_in_api: bool,
    /// Place in the list that Codex shows; its default is the first one.
    priority: usize,
    base_instructions: &'static str,
    supports_reasoning_summaries: bool,
    support_verbosity: bool,
    truncation_policy: TruncationPolicy,
    supports_parallel_tool_calls: bool,
    /// Tokens of the input: Codex compacts what it sends before it is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_window: Option<u32>,
    experimental_supported_tools: [&'static str; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    input_modalities: Option<Vec<Modality>>,
}

#[derive(Serialize)]
struct ReasoningLevel<'a> {
    effort: &'a str,
    description: &'static str,
}

#[derive(Serialize)]
struct TruncationPolicy {
    mode: &'static str,
    limit: u32,
}

impl<'a> Catalog<'a> {
    /// Returns the models among `names` that may answer a chat: first those that are known to, since Codex takes the first
    /// one by default, then those of which nothing is known, each in the same order.
    pub(super) fn new(catalog: &'a ModelCatalog, names: &BTreeSet<&'a str>) -> Self {
        let of_kind = |wanted: Option<ModelKind>| {
            let kind = move |name: &str| catalog.fact(name, |fact| fact.kind);
            names.iter().filter(move |name| kind(name) == wanted)
        };
        let models = of_kind(Some(ModelKind::Chat)).chain(of_kind(None));
        Self {
            models: models
                .enumerate()
                .map(|(place, name)| CodexModel::new(catalog, name, place))
                .collect(),
        }
    }
}

impl<'a> CodexModel<'a> {
    fn new(catalog: &'a ModelCatalog, name: &'a str, place: usize) -> Self {
        let efforts = catalog.fact(name, |fact| known(&fact.reasoning_efforts));
        let level = |effort: &'a String| ReasoningLevel {
            effort,
            description: description(effort),
        };
        Self {
            slug: name,
            display_name: name,
            supported_reasoning_levels: efforts.into_iter().flatten().map(level).collect(),
            shell_type: "shell_command",
            visibility: "list",
            supported_in_api: true,
            priority: place,
            base_instructions: BASE_INSTRUCTIONS,
            supports_reasoning_summaries: false,
            support_verbosity: false,
            truncation_policy: TruncationPolicy {
                mode: "bytes",
                limit: MAX_TOOL_OUTPUT_BYTES,
            },
            supports_parallel_tool_calls: false,
            context_window: catalog.fact(name, max_input),
            experimental_supported_tools: [],
            input_modalities: catalog.fact(name, input_modalities),
        }
    }
}

/// Returns the tokens that are left of the context window for the input.
fn max_input(fact: &ModelFact) -> Option<u32> {
    let window = fact.context_window?;
    let output = fact.max_output_tokens.unwrap_or(0);
    Some(if output < window {
        window - output
    } else {
        window
    })
}

/// Returns the modalities of the input that Codex knows; `None` if that is unknown.
fn input_modalities(fact: &ModelFact) -> Option<Vec<Modality>> {
    let all = known(&fact.input_modalities)?.iter().copied();
    let is_known = |modality: &Modality| matches!(modality, Modality::Text | Modality::Image);
    Some(all.filter(is_known).collect())
}

fn description(effort: &str) -> &'static str {
    match effort {
        "none" => "No reasoning",
        "minimal" => "Hardly any reasoning",
        "low" => "Little reasoning, fast answers",
        "medium" => "A balance of speed and reasoning",
        "high" => "Much reasoning for hard problems",
        "xhigh" => "Very much reasoning for very hard problems",
        "max" => "As much reasoning as the model has",
        _ => "",
    }
}
