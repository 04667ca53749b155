//! The check of what a request for a model names that model servers keep: it must be of the caller's project, too.
//!
//! Most requests name nothing, and then nothing is asked of the database.

use access::stored::{Kind, Owner};
use base::{Error, Result};

use super::owner;
use super::place::is_plausible;
use crate::Shared;
use crate::dialect::{Call, MAX_MENTIONS, Mentions};
use crate::identify::Caller;

impl Shared {
    /// Refuses a request that names what is not of the caller's project, or what nobody can tell the owner of. Where no
    /// upstream keeps anything, nothing is known of what is whose.
    ///
    /// # Errors
    /// 404 naming the field. 400: it names too much, or what no project can call its own.
    pub(crate) async fn may_mention(&self, caller: &Caller, call: &Call) -> Result<()> {
        if !self.upstreams.has_storage() {
            return Ok(());
        }
        if let Some(name) = call.reference {
            return Err(of_nobody(name));
        }
        if call.mentions.is_empty() {
            return Ok(());
        }
        Box::pin(self.check_mentions(&owner(caller), &call.mentions)).await
    }

    /// As [`Self::may_mention`].
    pub(super) async fn check_mentions(&self, owner: &Owner, mentions: &Mentions) -> Result<()> {
        for (kind, param, ids) in [
            (Kind::File, "file_id", &mentions.files),
            (
                Kind::VectorStore,
                "vector_store_ids",
                &mentions.vector_stores,
            ),
        ] {
            if ids.len() > MAX_MENTIONS {
                let message = format!("More than {MAX_MENTIONS} {}s are mentioned.", kind.noun());
                return Err(Error::invalid(param, message));
            }
            if ids.is_empty() {
                continue;
            }
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let not_found = |id| Error::not_found(kind.noun(), id).about(param);
            // An id that no path can have is none, and no text that every database can hold.
            if let Some(id) = ids.iter().find(|id| !is_plausible(id)) {
                return Err(not_found(id));
            }
            let found = self.stored.find(owner, kind, &ids).await?;
            for id in ids {
                if found.iter().all(|object| object.id != id) {
                    return Err(not_found(id));
                }
            }
        }
        Ok(())
    }
}

/// The refusal of what a model server keeps without anybody knowing for whom.
pub(super) fn of_nobody(name: &'static str) -> Error {
    let message = format!(
        "{name} names something that the model server keeps: projects share its account, and whose it is cannot be told. \
         Send what it holds instead."
    );
    Error::refused("shared_account", message).about(name)
}
