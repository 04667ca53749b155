//! Zero data retention of prompt caches: model servers keep them in memory only.

use base::{Error, Result};
use proxy::Target;
use usage::{ModelFacts, PromptCacheRetention};

use super::ProjectPolicy;
use crate::dialect::{Call, PROMPT_CACHE_RETENTION, RequestedPromptCache};

/// The check of the prompt caches of a project with zero data retention, for one model of an upstream.
pub(crate) struct PromptCachePolicy<'a> {
    model: &'a str,
    /// The values that requests for the model may have; empty if that is unknown.
    offered: &'a [PromptCacheRetention],
}

impl ProjectPolicy<'_> {
    /// Returns the check of prompt caches at an upstream that calls the model `model`. `None` if the project may have any: it has
    /// no zero data retention, or the upstream's account has.
    pub(crate) fn prompt_cache<'a>(
        &self,
        target: &Target,
        model: &'a str,
        facts: &'a ModelFacts,
    ) -> Option<PromptCachePolicy<'a>> {
        let is_checked = self.has_zero_retention() && !target.has_zero_data_retention();
        is_checked.then(|| PromptCachePolicy {
            model,
            offered: facts.prompt_cache_retention(model),
        })
    }

    /// Returns the targets of a plan at which the project may have the prompt cache of a request, and makes the request ask for
    /// one in memory where the model server would choose another.
    ///
    /// # Errors
    /// 400: there is no such target.
    pub(crate) fn apply_to_prompt_cache(
        &self,
        call: &mut Call,
        mut plan: Vec<Target>,
        facts: &ModelFacts,
    ) -> Result<Vec<Target>> {
        let Some(requested) = call.requested_prompt_cache() else {
            return Ok(plan);
        };
        let (mut in_memory, mut refusal) = (Vec::new(), None);
        plan.retain(|target| {
            let Some(policy) = self.prompt_cache(target, &target.model, facts) else {
                return true;
            };
            match policy.asks_for_memory(requested) {
                Ok(true) => in_memory.push(target.clone()),
                Ok(false) => {}
                Err(error) => {
                    refusal.get_or_insert(error);
                    return false;
                }
            }
            true
        });
        if let (true, Some(refusal)) = (plan.is_empty(), refusal) {
            return Err(refusal);
        }
        call.set_in_memory_at(in_memory);
        Ok(plan)
    }
}

impl PromptCachePolicy<'_> {
    /// True if the request must be made to ask for a prompt cache in memory, false if it may be sent as it is. The prompt cache
    /// of a model without facts is unknown, and left as it is unless the request asks for one beyond memory.
    ///
    /// # Errors
    /// 400: the request asks for a prompt cache beyond memory, or the model has no other.
    pub(crate) fn asks_for_memory(&self, requested: RequestedPromptCache) -> Result<bool> {
        if requested == RequestedPromptCache::Other {
            let message = "prompt_cache_retention must be \"in_memory\" or absent: the project has zero data retention.";
            return Err(refused(message.to_owned()));
        }
        if self.offered.contains(&PromptCacheRetention::InMemory) {
            return Ok(requested == RequestedPromptCache::Default);
        }
        if self.offered.is_empty() {
            return Ok(false);
        }
        let shown = base::shown(self.model);
        Err(refused(format!(
            "The model '{shown}' has only prompt caches of 24 hours, and the project has zero data retention. Use a model with \
             prompt caches in memory. If the account of the model server has zero data retention, the operator can set \
             zero_data_retention = true for the upstream."
        )))
    }
}

fn refused(message: String) -> Error {
    Error::refused("zero_data_retention", message).about(PROMPT_CACHE_RETENTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_in_memory_is_asked_for_where_the_model_has_one() {
        use PromptCacheRetention::{Day, InMemory};
        for (offered, requested, expected) in [
            (
                &[InMemory, Day][..],
                RequestedPromptCache::Default,
                Some(true),
            ),
            (&[InMemory], RequestedPromptCache::Default, Some(true)),
            (
                &[InMemory, Day],
                RequestedPromptCache::InMemory,
                Some(false),
            ),
            (&[InMemory, Day], RequestedPromptCache::Other, None),
            (&[Day], RequestedPromptCache::Default, None),
            (&[Day], RequestedPromptCache::InMemory, None),
            (&[], RequestedPromptCache::Default, Some(false)),
            (&[], RequestedPromptCache::InMemory, Some(false)),
            (&[], RequestedPromptCache::Other, None),
        ] {
            let policy = PromptCachePolicy {
                model: "m",
                offered,
            };
            let asked = policy.asks_for_memory(requested);
            assert_eq!(
                asked.as_ref().ok(),
                expected.as_ref(),
                "{offered:?} {requested:?}"
            );
            if let Err(error) = asked {
                assert_eq!(error.param.as_deref(), Some(PROMPT_CACHE_RETENTION));
            }
        }
    }
}
