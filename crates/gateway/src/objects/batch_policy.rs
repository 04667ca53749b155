//! Policy of the requests of a batch, which are forwarded as they are: models, hosted tools, service tiers and data retention.

use base::{Error, Result};
use proxy::Target;
use usage::ModelFacts;

use super::batch_input::BatchInput;
use crate::dialect::{RequestedPromptCache, RequestedTier};
use crate::policy::ProjectPolicy;

/// The refusal of a file that an older version has read.
const UPLOADED_BEFORE: &str =
    "The file was uploaded before its requests were looked at as they are now: upload it again.";

/// Checks that a project may send the requests of a batch.
///
/// # Errors
/// 403: the project may not use a model, a hosted tool or a service tier. 400: the requests are unknown, or violate data retention.
pub(super) fn check_policy(policy: &ProjectPolicy<'_>, input: &BatchInput) -> Result<()> {
    policy.check_model(&input.model)?;
    let tools = policy.check_tools(input.tools.iter().map(AsRef::as_ref));
    tools.map_err(|error| error.about("input_file_id"))?;
    let wrong = |message: String| Err(Error::invalid("input_file_id", message));
    let Some(facts) = &input.facts else {
        return wrong(UPLOADED_BEFORE.to_owned());
    };
    for model in &facts.models {
        policy.check_model(model)?;
    }
    match &facts.tiers {
        Some(tiers) => {
            for tier in tiers {
                let checked = policy.check_tier(&RequestedTier::of(tier));
                checked.map_err(|error| error.about("input_file_id"))?;
            }
        }
        None if policy.tiers().enabled.is_some() => return wrong(UPLOADED_BEFORE.to_owned()),
        None => {}
    }
    if let (true, Some(line)) = (policy.has_zero_retention(), facts.stored) {
        let path = &input.path;
        let message = format!(
            "The project has zero data retention, and the model server would keep what line {line} of the file asks \
             for: each line for /v1{path} must say \"store\": false, and name no conversation."
        );
        return wrong(message);
    }
    Ok(())
}

/// Checks that a project may have the prompt caches that the requests of a batch make at an upstream.
///
/// # Errors
/// 400: the prompt cache of a line would violate data retention.
pub(super) fn check_prompt_caches(
    policy: &ProjectPolicy<'_>,
    input: &BatchInput,
    target: &Target,
    facts: &ModelFacts,
) -> Result<()> {
    let Some(policy) = policy.prompt_cache(target, &input.model, facts) else {
        return Ok(());
    };
    let wrong = |message: &str| Err(Error::invalid("input_file_id", message.to_owned()));
    let lines = input.facts.as_ref();
    let Some(lines) = lines.and_then(|facts| facts.prompt_caches.as_ref()) else {
        return wrong(UPLOADED_BEFORE);
    };
    for (requested, line) in [
        (RequestedPromptCache::Other, lines.other),
        (RequestedPromptCache::InMemory, lines.in_memory),
        (RequestedPromptCache::Default, lines.default),
    ] {
        let Some(line) = line else {
            continue;
        };
        match policy.asks_for_memory(requested) {
            Err(refusal) => return wrong(&format!("Line {line} of the file: {}", refusal.message)),
            Ok(true) => {
                return wrong(&format!(
                    "The project has zero data retention, and the model server would choose the prompt cache of line {line} of \
                     the file: each line must say \"prompt_cache_retention\": \"in_memory\"."
                ));
            }
            Ok(false) => {}
        }
    }
    Ok(())
}
