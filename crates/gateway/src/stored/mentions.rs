//! Files and vector stores that a request for a model mentions: they must be of the caller's project, too.
//!
//! Most requests mention none, which is seen without parsing them, and then nothing is asked of the database.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use access::stored::{Kind, Owner};
use base::{Error, Result};
use memchr::memmem::Finder;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::owner;
use crate::Shared;
use crate::dialect::Call;
use crate::identify::Caller;

/// How many of a kind one request, or all requests of a batch, may mention.
pub(super) const MOST: usize = 2_000;

/// What the names of the fields begin with that mention something.
static FILE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("file_id"));
static VECTOR_STORE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("vector_store_id"));
/// What a character begins with that is written as its number.
static NUMBER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br"\u00"));

/// What is the client's own, or what a model said: a model server looks nothing up that it names.
const UNREAD: [&str; 5] = ["annotations", "metadata", "parameters", "results", "schema"];

/// What the ids of files begin with that a container has: they are of no use without it.
const OF_CONTAINER: &str = "cfile_";

/// What is mentioned.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mentions {
    #[serde(default)]
    files: BTreeSet<String>,
    #[serde(default)]
    vector_stores: BTreeSet<String>,
}

impl Shared {
    /// Refuses a request that mentions what is not of the caller's project. Where no upstream keeps anything, nothing is
    /// known of what is whose.
    ///
    /// # Errors
    /// 404 naming the field. 400: it mentions too much.
    pub(crate) async fn may_mention(&self, caller: &Caller, call: &Call) -> Result<()> {
        if !self.upstreams.keep() || !may_mention_something(call.text()) {
            return Ok(());
        }
        let mut mentions = Mentions::default();
        mentions.read(call.text());
        Box::pin(self.check_mentions(&owner(caller), &mentions)).await
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
            if ids.len() > MOST {
                let message = format!("More than {MOST} {}s are mentioned.", kind.noun());
                return Err(Error::invalid(param, message));
            }
            if ids.is_empty() {
                continue;
            }
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let found = self.stored.find(owner, kind, &ids).await?;
            for id in ids {
                if found.iter().all(|object| object.id != id) {
                    return Err(Error::not_found(kind.noun(), id).about(param));
                }
            }
        }
        Ok(())
    }
}

impl Mentions {
    /// Adds what a request mentions.
    pub(super) fn read(&mut self, json: &[u8]) {
        if !may_mention_something(json) {
            return;
        }
        let within = Within {
            mentions: self,
            under: None,
        };
        // That it is JSON has been seen before.
        let _ = within.deserialize(&mut serde_json::Deserializer::from_slice(json));
    }

    /// How many there are of the kind that there are most of.
    pub(super) fn most(&self) -> usize {
        self.files.len().max(self.vector_stores.len())
    }

    fn add(&mut self, kind: Kind, id: &str) {
        let ids = match kind {
            Kind::File if !id.starts_with(OF_CONTAINER) => &mut self.files,
            Kind::VectorStore => &mut self.vector_stores,
            _ => return,
        };
        // One more than may be is enough to see that it is too many.
        if ids.len() <= MOST {
            ids.insert(id.to_owned());
        }
    }
}

/// Whether a name of a field could mention something, however it is written.
fn may_mention_something(json: &[u8]) -> bool {
    // A letter that is written as its number.
    let is_hidden = |at: usize| matches!(json.get(at + 4), Some(b'2'..=b'7'));
    FILE.find(json).is_some()
        || VECTOR_STORE.find(json).is_some()
        || NUMBER.find_iter(json).any(is_hidden)
}

/// A part of a request, and what strings in it mention.
struct Within<'m> {
    mentions: &'m mut Mentions,
    under: Option<Kind>,
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, part: D) -> Result<(), D::Error> {
        part.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of a request")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Some(kind) = self.under {
            self.mentions.add(kind, text);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { mentions, under } = self;
        while items
            .next_element_seed(Within { mentions, under })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mentions = self.mentions;
        while let Some(name) = members.next_key::<Name<'_>>()? {
            let under = match &*name.0 {
                "file_id" | "file_ids" => Some(Kind::File),
                "vector_store_id" | "vector_store_ids" => Some(Kind::VectorStore),
                name if UNREAD.contains(&name) => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => None,
            };
            members.next_value_seed(Within { mentions, under })?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn mentioned(json: &str) -> String {
        let mut mentions = Mentions::default();
        mentions.read(json.as_bytes());
        let ids = mentions.files.into_iter().chain(mentions.vector_stores);
        ids.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn whatever_is_mentioned_is_found() {
        for (json, found) in [
            (r#"{"input":"file_id"}"#, ""),
            (
                r#"{"input":[{"content":[{"type":"input_file","file_id":"a"},{"type":"input_image","file_id":"b"}]}]}"#,
                "a b",
            ),
            (r#"{"input":[{"file\u005fid":"\u0061"}]}"#, "a"),
            (r#"{"file_id":"a","file_id":"b"}"#, "a b"),
            (
                r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"a"}}]}]}"#,
                "a",
            ),
            (
                r#"{"tools":[{"type":"file_search","vector_store_ids":["v","w"]}]}"#,
                "v w",
            ),
            (
                r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["a"]}}]}"#,
                "a",
            ),
            (r#"{"image":{"file_id":null},"n":[1,-1,1.5,true]}"#, ""),
            (r#"{"metadata":{"file_id":"a"}}"#, ""),
            (
                r#"{"tools":[{"parameters":{"properties":{"file_id":{"default":"a","type":"string"}}}}]}"#,
                "",
            ),
            (
                r#"{"input":[{"content":[{"annotations":[{"file_id":"a"}]}]},{"results":[{"file_id":"b"}]}]}"#,
                "",
            ),
            (r#"{"input":[{"file_id":"cfile_1"}]}"#, ""),
        ] {
            assert_eq!(mentioned(json), found, "{json}");
        }
    }

    #[test]
    fn most_requests_are_not_parsed() {
        for json in [
            r#"{"model":"m","messages":[{"role":"user","content":"h\u00e4llo\n\u001b \\u00"}]}"#,
            "",
            r"\u00",
        ] {
            assert!(!may_mention_something(json.as_bytes()), "{json}");
        }
        assert!(may_mention_something(br#"{"\u0066ile_id":"a"}"#));
    }

    #[test]
    fn no_more_than_can_be_asked_for_is_kept() {
        let ids: Vec<String> = (0..3 * MOST).map(|id| id.to_string()).collect();
        let mut mentions = Mentions::default();
        mentions.read(serde_json::json!({"file_ids": ids}).to_string().as_bytes());
        assert_eq!(mentions.most(), MOST + 1);
    }
}
