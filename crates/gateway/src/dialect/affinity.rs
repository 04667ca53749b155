//! Affinity of a request: a key that the client gives, or the start of its conversation, by which requests go to the same upstream.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use base::Result;
use proxy::{Affinity, ApiFormat};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Dialect, Fields};

/// The most items at the start of a conversation that are looked at.
const MAX_ITEMS: usize = 16;
/// The member of a block that says up to where a prompt is cached. It moves on while a conversation grows.
const CACHE_CONTROL: &str = "cache_control";

/// The members of a request by which it belongs to others: a key, else the start of the conversation.
#[derive(Default)]
pub(super) struct AffinityFields {
    key: Option<AffinityKey>,
    /// The instructions and the messages of a request, in its body.
    start: Option<(Option<Range<usize>>, Range<usize>)>,
}

/// A value that the client gives all requests that belong together.
enum AffinityKey {
    /// `prompt_cache_key`.
    PromptCache(String),
    /// `metadata.user_id` of Anthropic's format. Claude Code puts the session into it.
    User(String),
}

/// An item of `input` or of `messages`, as far as it matters here.
#[derive(Deserialize)]
struct ConversationItem<'a> {
    role: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// `metadata` of Anthropic's format.
#[derive(Deserialize)]
struct MessageMetadata {
    user_id: Option<String>,
}

impl AffinityFields {
    /// Returns the members of a request with these fields.
    ///
    /// # Errors
    /// 400: `prompt_cache_key` is no string.
    pub(super) fn of(dialect: &Dialect, fields: &Fields<'_>) -> Result<Self> {
        let is_message = dialect.api == ApiFormat::Anthropic;
        let key = if is_message {
            user_id(fields).map(AffinityKey::User)
        } else {
            let key = fields.text("prompt_cache_key")?;
            key.map(AffinityKey::PromptCache)
        };
        let (instructions, messages) = if is_message {
            ("system", "messages")
        } else {
            ("instructions", "input")
        };
        let range = |name| fields.get(name).map(|value| fields.range(value));
        let is_recognized = dialect.has_conversations && key.is_none();
        let messages = range(messages).filter(|_| is_recognized);
        Ok(Self {
            start: messages.map(|messages| (range(instructions), messages)),
            key,
        })
    }

    /// Returns the affinity of a request of a project; `None` if nothing says to which others it belongs.
    pub(super) fn affinity(&self, body: &[u8], project: &str) -> Option<Affinity> {
        let project = project.as_bytes();
        match &self.key {
            Some(AffinityKey::PromptCache(key)) => {
                return Some(Affinity::of(&[project, b"key", key.as_bytes()]));
            }
            Some(AffinityKey::User(user)) => {
                return Some(Affinity::of(&[project, b"user", user.as_bytes()]));
            }
            None => {}
        }
        let (instructions, messages) = self.start.as_ref()?;
        let instructions = instructions.clone().map(|range| content(&body[range]));
        let messages = first_messages(&body[messages.clone()])?;
        let instructions = instructions.unwrap_or_default();
        let mut values = vec![project, b"start"];
        values.extend(instructions.iter().map(Vec::as_slice));
        values.push(b"messages");
        values.extend(messages.iter().map(Vec::as_slice));
        Some(Affinity::of(&values))
    }
}

/// Visitor that collects the first [`MAX_ITEMS`] items of a list, and leaves the others unread.
struct FirstItems<'a, 'de>(&'a mut Vec<&'de RawValue>);

impl<'de> Visitor<'de> for FirstItems<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while self.0.len() < MAX_ITEMS
            && let Some(item) = items.next_element()?
        {
            self.0.push(item);
        }
        Ok(())
    }
}

/// Returns `metadata.user_id`. A model server refuses one that is no string.
fn user_id(fields: &Fields<'_>) -> Option<String> {
    let metadata: MessageMetadata = serde_json::from_slice(fields.get("metadata")?).ok()?;
    metadata.user_id.filter(|user| !user.is_empty())
}

/// Returns the contents of the messages at the start of a conversation, before the first item that a model has made: what
/// stays the same while a conversation grows. A string is one message.
fn first_messages(messages: &[u8]) -> Option<Vec<Vec<u8>>> {
    if let Ok(text) = serde_json::from_slice::<String>(messages) {
        return Some(vec![text.into_bytes()]);
    }
    let mut items = Vec::with_capacity(MAX_ITEMS);
    let mut list = serde_json::Deserializer::from_slice(messages);
    // An error only says that items were left.
    let _ = list.deserialize_seq(FirstItems(&mut items));
    let contents = items.into_iter().map_while(|item: &RawValue| {
        let item: ConversationItem<'_> = serde_json::from_str(item.get()).ok()?;
        let is_sent = matches!(item.role?.as_str(), "user" | "system" | "developer");
        let sent = item.content.filter(|_| is_sent)?.get();
        Some(content(sent.as_bytes()))
    });
    let contents: Vec<Vec<u8>> = contents.flatten().collect();
    (!contents.is_empty()).then_some(contents)
}

/// Returns the blocks of a content. Clients send the same text as a string or as a block, with and without `cache_control`,
/// in one conversation, which makes no difference here.
fn content(value: &[u8]) -> Vec<Vec<u8>> {
    if let Ok(text) = serde_json::from_slice::<String>(value) {
        return vec![text.into_bytes()];
    }
    match serde_json::from_slice::<Vec<&RawValue>>(value) {
        Ok(blocks) => blocks.into_iter().map(block).collect(),
        Err(_) => vec![value.to_owned()],
    }
}

/// Returns the text of a block, or all of its members but `cache_control` if it is no text.
fn block(value: &RawValue) -> Vec<u8> {
    let members: Option<BTreeMap<Cow<'_, str>, &RawValue>> = serde_json::from_str(value.get()).ok();
    let Some(members) = members else {
        return value.get().as_bytes().to_owned();
    };
    let text = |name| serde_json::from_str::<String>(members.get(name)?.get()).ok();
    if matches!(text("type").as_deref(), Some("text" | "input_text"))
        && let Some(text) = text("text")
    {
        return text.into_bytes();
    }
    let kept = members.iter().filter(|(name, _)| *name != CACHE_CONTROL);
    let kept = kept.flat_map(|(name, value)| [name, ":", value.get(), ","]);
    kept.flat_map(str::bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    fn affinity(path: &str, body: &str, project: &str) -> Option<Affinity> {
        let dialect = Dialect::at(path).expect(path);
        let fields = Fields::of_json(body.as_bytes(), dialect.fields).expect(body);
        let fields = AffinityFields::of(dialect, &fields).expect(body);
        fields.affinity(body.as_bytes(), project)
    }

    #[test]
    fn the_turns_of_a_conversation_have_one_affinity() {
        let of = |body: &str| affinity("/responses", body, "proj_1");
        let first = of(r#"{"input":"Hello","instructions":"Be kind"}"#);
        let next = r#"{"instructions":"Be kind","input":[{"role":"user","content":"Hel\u006co"},
            {"type":"reasoning","encrypted_content":"x"},{"role":"assistant","content":"Hi"},
            {"role":"user","content":"More"}]}"#;
        assert!(first.is_some());
        assert_eq!(of(next), first);
        for other in [
            r#"{"input":"Hello"}"#,
            r#"{"input":"Hallo","instructions":"Be kind"}"#,
            r#"{"input":[{"role":"user","content":"Hello"},{"role":"user","content":"You?"}],"instructions":"Be kind"}"#,
            r#"{"input":[{"role":"user","content":"Be kind"},{"role":"user","content":"Hello"}]}"#,
        ] {
            assert_ne!(of(other), first, "{other}");
        }
        let elsewhere = r#"{"input":"Hello","instructions":"Be kind"}"#;
        assert_ne!(affinity("/responses", elsewhere, "proj_2"), first);
        for none in [
            r#"{"model":"m"}"#,
            r#"{"input":[]}"#,
            r#"{"input":[{"type":"item_reference","id":"x"}]}"#,
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn items_beyond_the_first_are_not_read() {
        let list = |count: usize, rest: &str| {
            let items = vec![r#"{"role":"user","content":"Hello"}"#; count];
            format!("[{}{rest}", items.join(","))
        };
        for rest in ["]", r#",{"role":"user","content":"More"}]"#, ",no JSON"] {
            let messages = first_messages(list(MAX_ITEMS, rest).as_bytes());
            assert_eq!(messages.map(|it| it.len()), Some(MAX_ITEMS), "{rest}");
        }
        let few = first_messages(list(3, "]").as_bytes());
        assert_eq!(few.map(|it| it.len()), Some(3));
    }

    #[test]
    fn the_turns_of_a_conversation_at_messages_have_one_affinity() {
        let of = |body: &str| affinity("/messages", body, "proj_1");
        let first = of(
            r#"{"system":"Be kind","messages":[{"role":"user","content":[
            {"type":"text","text":"Hello","cache_control":{"type":"ephemeral"}}]}]}"#,
        );
        assert!(first.is_some());
        for next in [
            r#"{"system":[{"type":"text","text":"Be kind","cache_control":{"type":"ephemeral"}}],"messages":[
                {"role":"user","content":"Hello"},{"role":"assistant","content":"Hi"},{"role":"user","content":"More"}]}"#,
            r#"{"messages":[{"content":[{"text":"Hello","type":"text"}],"role":"user"},
                {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{}}]},
                {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}],"system":"Be kind"}"#,
        ] {
            assert_eq!(of(next), first, "{next}");
        }
        let image = |more: &str| {
            of(&format!(
                r#"{{"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"url","url":"{more}"}}}}]}}]}}"#
            ))
        };
        assert!(image("https://a.example/1").is_some());
        assert_ne!(image("https://a.example/1"), image("https://a.example/2"));
        let marked = r#"{"messages":[{"role":"user","content":[{"cache_control":{"type":"ephemeral"},"type":"image",
            "source":{"type":"url","url":"https://a.example/1"}}]}]}"#;
        assert_eq!(of(marked), image("https://a.example/1"));
        for other in [
            r#"{"messages":[{"role":"user","content":"Hello"}]}"#,
            r#"{"system":"Be kind","messages":[{"role":"user","content":"Hallo"}]}"#,
            r#"{"system":"Be","messages":[{"role":"user","content":"Hello"}]}"#,
        ] {
            assert_ne!(of(other), first, "{other}");
        }
    }

    #[test]
    fn the_user_of_a_message_comes_before_the_conversation() {
        let of = |body: &str| affinity("/messages", body, "proj_1");
        let one =
            of(r#"{"metadata":{"user_id":"u\u0031"},"messages":[{"role":"user","content":"a"}]}"#);
        assert!(one.is_some());
        let same = r#"{"messages":[{"role":"user","content":"b"}],"metadata":{"user_id":"u1"}}"#;
        assert_eq!(of(same), one);
        assert_ne!(affinity("/messages", same, "proj_2"), one);
        let other = r#"{"messages":[{"role":"user","content":"b"}],"metadata":{"user_id":"u2"}}"#;
        assert_ne!(of(other), one);
        let by_start = of(r#"{"messages":[{"role":"user","content":"b"}]}"#);
        for nobody in [
            "null",
            "{}",
            r#"{"user_id":null}"#,
            r#"{"user_id":""}"#,
            "7",
        ] {
            let body =
                format!(r#"{{"messages":[{{"role":"user","content":"b"}}],"metadata":{nobody}}}"#);
            assert_eq!(of(&body), by_start, "{nobody}");
        }
    }

    #[test]
    fn input_that_continues_no_conversation_has_no_affinity() {
        let body = r#"{"model":"m","input":"Hello"}"#;
        assert!(affinity("/responses", body, "proj_1").is_some());
        for path in ["/embeddings", "/moderations", "/audio/speech", "/decisions"] {
            assert_eq!(affinity(path, body, "proj_1"), None, "{path}");
        }
        let counted = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#;
        assert_eq!(affinity("/messages/count_tokens", counted, "proj_1"), None);
    }

    #[test]
    fn a_prompt_cache_key_comes_before_the_conversation() {
        let of = |path, body| affinity(path, body, "proj_1");
        let key = of(
            "/responses",
            r#"{"input":"a","prompt_cache_key":"k\u0031"}"#,
        );
        assert!(key.is_some());
        let chat = r#"{"messages":[],"prompt_cache_key":"k1"}"#;
        assert_eq!(of("/chat/completions", chat), key);
        assert_eq!(
            of("/responses", r#"{"input":"b","prompt_cache_key":"k1"}"#),
            key
        );
        assert_eq!(of("/chat/completions", r#"{"messages":[]}"#), None);
    }
}
