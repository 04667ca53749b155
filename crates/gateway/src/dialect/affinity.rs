//! Affinity of a request: its `prompt_cache_key`, or the start of its conversation, by which requests go to the same upstream.

use std::fmt;
use std::ops::Range;

use base::Result;
use proxy::Affinity;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Dialect, Fields};

/// The most items at the start of a conversation that are looked at.
const MAX_ITEMS: usize = 16;

/// The members of a request by which it belongs to others: `prompt_cache_key`, else the start of the conversation.
#[derive(Default)]
pub(super) struct AffinityFields {
    prompt_cache_key: Option<String>,
    /// `instructions` and `input` of a request for a response, in its body.
    start: Option<(Option<Range<usize>>, Range<usize>)>,
}

/// An item of `input`, as far as it matters here.
#[derive(Deserialize)]
struct InputItem<'a> {
    role: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

impl AffinityFields {
    /// Returns the members of a request with these fields.
    ///
    /// # Errors
    /// 400: `prompt_cache_key` is no string.
    pub(super) fn of(dialect: &Dialect, fields: &Fields<'_>) -> Result<Self> {
        let prompt_cache_key = fields.text("prompt_cache_key")?;
        let range = |name| fields.get(name).map(|value| fields.range(value));
        let is_recognized = dialect.has_conversations && prompt_cache_key.is_none();
        let input = range("input").filter(|_| is_recognized);
        Ok(Self {
            start: input.map(|input| (range("instructions"), input)),
            prompt_cache_key,
        })
    }

    /// Returns the affinity of a request of a project; `None` if nothing says to which others it belongs.
    pub(super) fn affinity(&self, body: &[u8], project: &str) -> Option<Affinity> {
        let project = project.as_bytes();
        if let Some(key) = &self.prompt_cache_key {
            return Some(Affinity::of(&[project, b"key", key.as_bytes()]));
        }
        let (instructions, input) = self.start.as_ref()?;
        let instructions = instructions.clone().map(|range| &body[range]);
        let messages = first_messages(&body[input.clone()])?;
        let mut values = vec![project, b"start", instructions.unwrap_or_default()];
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

/// Returns the contents of the messages at the start of `input`, before the first item that a model has made: what stays
/// the same while a conversation grows. A string is one message.
fn first_messages(input: &[u8]) -> Option<Vec<Vec<u8>>> {
    if let Ok(text) = serde_json::from_slice::<String>(input) {
        return Some(vec![text.into_bytes()]);
    }
    let mut items = Vec::with_capacity(MAX_ITEMS);
    let mut list = serde_json::Deserializer::from_slice(input);
    // An error only says that items were left.
    let _ = list.deserialize_seq(FirstItems(&mut items));
    let messages = items.into_iter().map_while(|item: &RawValue| {
        let item: InputItem<'_> = serde_json::from_str(item.get()).ok()?;
        let is_sent = matches!(item.role?.as_str(), "user" | "system" | "developer");
        let content = item.content.filter(|_| is_sent)?.get();
        let text = serde_json::from_str::<String>(content).ok();
        Some(text.unwrap_or_else(|| content.to_owned()).into_bytes())
    });
    let messages: Vec<Vec<u8>> = messages.collect();
    (!messages.is_empty()).then_some(messages)
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
    fn input_that_continues_no_conversation_has_no_affinity() {
        let body = r#"{"model":"m","input":"Hello"}"#;
        assert!(affinity("/responses", body, "proj_1").is_some());
        for path in ["/embeddings", "/moderations", "/audio/speech", "/decisions"] {
            assert_eq!(affinity(path, body, "proj_1"), None, "{path}");
        }
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
