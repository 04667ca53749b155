//! Responses, conversations and chat completions of the fake upstream.

use http::Method;
use serde_json::{Value, json};

use super::storage_server::{Answered, StorageState};

impl StorageState {
    /// Answers a request about state, or one that stores some; `None` for any other request.
    pub(super) fn answer_state(
        &mut self,
        method: &Method,
        segments: &[&str],
        body: &Value,
    ) -> Option<Answered> {
        Some(match (method.as_str(), segments) {
            ("POST", ["responses"]) if self.response.is_none() => self.respond(body),
            ("GET", ["responses", id]) => self.get("response", id),
            ("POST", ["responses", id, "cancel"]) => {
                if let Some(response) = self.objects.get_mut(*id)
                    && response["background"] == true
                    && response["completed_at"].is_null()
                    && !self.ignores_cancels
                {
                    response["status"] = json!("cancelled");
                }
                self.get("response", id)
            }
            ("DELETE", ["responses", id]) => self.delete("response", id),
            ("GET", ["responses", id, "input_items"]) => {
                let of_response = self.get("response", id);
                of_response.map(|_| list(&[self.keep("item", json!({"type": "message"}))]))
            }
            ("POST", ["conversations"]) => {
                Ok(self.keep("conversation", json!({"metadata": body["metadata"]})))
            }
            ("GET" | "POST", ["conversations", id]) => self.get("conversation", id),
            ("DELETE", ["conversations", id]) => self.delete("conversation", id),
            ("GET" | "POST", ["conversations", id, "items"]) => {
                let of_conversation = self.get("conversation", id);
                of_conversation.map(|_| list(&[self.keep("item", json!({"type": "message"}))]))
            }
            ("GET" | "DELETE", ["conversations", id, "items", item]) => {
                let of_conversation = self.get("conversation", id);
                of_conversation.and_then(|_| self.get("item", item))
            }
            ("POST", ["chat", "completions"]) if body["store"].is_boolean() => {
                let mut completion = json!({"model": body["model"], "metadata": body["metadata"], "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 11, "completion_tokens": 7}});
                if body["store"] == true {
                    completion = self.keep("completion", completion);
                }
                Ok(completion)
            }
            ("GET", ["chat", "completions", id]) => self.get("completion", id),
            ("POST", ["chat", "completions", id]) => {
                let known = self.get("completion", id);
                known.map(|mut completion| {
                    completion["metadata"] = body["metadata"].clone();
                    self.objects.insert((*id).to_owned(), completion.clone());
                    completion
                })
            }
            ("DELETE", ["chat", "completions", id]) => self.delete("completion", id),
            ("GET", ["chat", "completions", id, "messages"]) => {
                self.get("completion", id).map(|_| list(&[]))
            }
            _ => return None,
        })
    }

    /// Answers a request for a response. What it names must be there, whoever made it: the account is one.
    fn respond(&mut self, body: &Value) -> Answered {
        if let Some(id) = body["previous_response_id"].as_str() {
            self.get("response", id)?;
        }
        let conversation = match &body["conversation"] {
            Value::String(id) => json!({"id": id}),
            other => other.clone(),
        };
        if let Some(id) = conversation["id"].as_str() {
            self.get("conversation", id)?;
        }
        let stores = body["store"] != false;
        let mut item = json!({"type": "message", "role": "assistant",
                              "content": [{"type": "output_text", "text": "Hi"}]});
        let is_background = body["background"] == true && !self.refuses;
        if stores && !is_background {
            item = self.keep("item", item);
        }
        let mut response = json!({"status": "completed", "model": body["model"], "output": [item],
                              "conversation": conversation,
                              "usage": {"input_tokens": 11, "output_tokens": 7}});
        if body["metadata"].is_object() {
            response["metadata"] = body["metadata"].clone();
        }
        if is_background {
            let members = json!({"status": "queued", "background": true, "output": [], "usage": null,
                                 "completed_at": null});
            let Value::Object(members) = members else {
                unreachable!("members")
            };
            response.as_object_mut().expect("an object").extend(members);
        }
        if stores {
            return Ok(self.keep("response", response));
        }
        response["id"] = json!("response-unstored");
        response["object"] = json!("response");
        Ok(response)
    }
}

fn list(items: &[Value]) -> Value {
    json!({"object": "list", "data": items, "has_more": false})
}

/// Returns an answer as events.
pub(super) fn events(answer: &Value) -> String {
    let mut text = String::new();
    let mut add = |event: Value| {
        text.push_str(&format!("data: {event}\n\n"));
    };
    if answer["object"] == "response" {
        let mut created = answer.clone();
        created["output"] = json!([]);
        created["usage"] = json!(null);
        add(json!({"type": "response.created", "response": created}));
        let item = &answer["output"][0];
        add(json!({"type": "response.output_item.done", "item": item}));
        add(json!({"type": "response.completed", "response": answer}));
        return text;
    }
    let choice = json!({"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"});
    add(json!({"id": answer["id"], "choices": [choice]}));
    add(json!({"id": answer["id"], "choices": [], "usage": answer["usage"]}));
    text.push_str("data: [DONE]\n\n");
    text
}
