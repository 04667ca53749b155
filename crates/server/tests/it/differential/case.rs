//! A request to the gateway, made up from a seed: plain, so that it must be forwarded, or with what is forbidden.

use serde_json::{Value, json};

use super::bodies::{self, Ownership};
use super::forms::{self, Form};
use super::projects::{Project, Setting};
use super::text::{Text, quoted, spelled};
use crate::dice::Dice;

/// Its kind is how the readers read it.
pub(super) struct Case {
    pub(super) kind: &'static str,
    pub(super) is_plain: bool,
    /// Below `/v1`, with the query.
    pub(super) target: String,
    pub(super) form: Form,
    /// The endpoint of the batch that is to be made of it, if it is a file of lines.
    pub(super) endpoint: Option<&'static str>,
}

impl Case {
    pub(super) fn new(project: &Project, dice: &Dice) -> Self {
        let is_plain = dice.one_in(3);
        match (dice.below(50), project.setting) {
            (0..=8, _) => Self::form(is_plain, dice),
            (9..=11, Setting::OwnsObjects | Setting::ZeroRetention) => {
                Self::lines(project, is_plain, dice)
            }
            (12 | 13, Setting::OwnsObjects) => Self::object(&project.ownership, is_plain, dice),
            _ => Self::json(project, is_plain, dice),
        }
    }

    fn json(project: &Project, is_plain: bool, dice: &Dice) -> Self {
        let owns = (project.setting == Setting::OwnsObjects).then_some(&project.ownership);
        let (path, body) = bodies::plain(dice, owns);
        let mut body = Text::of(&body);
        let (mut content_type, mut query) = ("application/json", "");
        if !is_plain {
            (content_type, query) = (bodies::content_type(dice), bodies::query(dice));
            bodies::attack(path, &mut body, dice, &project.ownership);
        }
        let mut text = Vec::new();
        match is_plain {
            true => body.write(&mut text, dice),
            false => text = bodies::written(&body, dice),
        }
        Self::new_json(is_plain, format!("{path}{query}"), content_type, text)
    }

    fn new_json(is_plain: bool, target: String, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            kind: "json",
            is_plain,
            target,
            form: Form {
                content_type: content_type.to_owned(),
                body,
            },
            endpoint: None,
        }
    }

    fn form(is_plain: bool, dice: &Dice) -> Self {
        let paths = [
            "/audio/transcriptions",
            "/audio/translations",
            "/images/edits",
        ];
        let path = dice.word(&paths);
        Self {
            kind: "form",
            is_plain,
            target: path.to_owned(),
            form: match is_plain {
                true => forms::plain(path, dice),
                false => forms::attack(path, dice),
            },
            endpoint: None,
        }
    }

    /// A body that names what the project keeps, or what another one does.
    fn object(owned: &Ownership, is_plain: bool, dice: &Dice) -> Self {
        let (path, body) = match dice.below(3) {
            0 => (
                "/vector_stores".to_owned(),
                json!({"name": "a", "file_ids": [owned.file]}),
            ),
            1 => (
                format!("/vector_stores/{}/files", owned.vector_store),
                json!({"file_id": owned.file}),
            ),
            _ => (
                format!("/vector_stores/{}/file_batches", owned.vector_store),
                json!({"file_ids": [owned.file]}),
            ),
        };
        let mut body = Text::of(&body);
        if !is_plain && let Text::Object(members) = &mut body {
            let names = ["file_id", "file_ids", "input_file_id", "vector_store_ids"];
            let value = match dice.one_in(2) {
                true => json!(owned.foreign_file),
                false => json!([owned.foreign_file, owned.foreign_vector_store]),
            };
            let at = dice.below(members.len() as u64 + 1) as usize;
            members.insert(at, (spelled(dice.word(&names), dice), Text::of(&value)));
        }
        let text = if is_plain {
            bodies::written_plainly(&body)
        } else {
            bodies::written(&body, dice)
        };
        let content_type = if is_plain {
            "application/json"
        } else {
            bodies::content_type(dice)
        };
        Self::new_json(is_plain, path, content_type, text)
    }

    /// A file of requests, which a batch is made of once it was taken.
    fn lines(project: &Project, is_plain: bool, dice: &Dice) -> Self {
        let endpoints = [
            "/v1/chat/completions",
            "/v1/responses",
            "/v1/completions",
            "/v1/embeddings",
        ];
        let endpoint = *dice.pick(&endpoints);
        let mut lines = Vec::new();
        for number in 0..=dice.below(3) {
            let mut body = Text::of(&line_body(endpoint));
            if !is_plain && dice.one_in(2) {
                bodies::attack(
                    endpoint.trim_start_matches("/v1"),
                    &mut body,
                    dice,
                    &project.ownership,
                );
            }
            let mut members = vec![
                (
                    quoted("custom_id"),
                    Text::of(&json!(format!("line-{number}"))),
                ),
                (quoted("method"), Text::raw("\"POST\"")),
                (quoted("url"), Text::of(&json!(endpoint))),
                (quoted("body"), body),
            ];
            if !is_plain && dice.one_in(4) {
                let dear = Text::of(
                    &json!({"model": "dear", "messages": [], "input": "a", "store": true}),
                );
                let at = dice.below(5) as usize;
                members.insert(at, (spelled("body", dice), dear));
            }
            let line = Text::Object(members);
            match is_plain {
                true => lines.extend(bodies::written_plainly(&line)),
                false => lines.extend(bodies::written(&line, dice)),
            }
            let ends: [&[u8]; 4] = [b"\n", b"\r\n", b"\n\n", b"\r"];
            lines.extend(if is_plain { b"\n" } else { *dice.pick(&ends) });
        }
        Self {
            kind: "batch",
            is_plain,
            target: "/files".to_owned(),
            form: forms::upload("batch", &lines, dice),
            endpoint: Some(endpoint),
        }
    }
}

fn line_body(endpoint: &str) -> Value {
    match endpoint {
        "/v1/chat/completions" => {
            json!({"model": "cheap", "max_completion_tokens": 5, "store": false, "messages": [{"role": "user", "content": "a"}]})
        }
        "/v1/responses" => {
            json!({"model": "cheap", "max_output_tokens": 5, "store": false, "input": "a"})
        }
        "/v1/completions" => json!({"model": "cheap", "max_tokens": 5, "prompt": "a"}),
        _ => json!({"model": "cheap", "input": "a"}),
    }
}
