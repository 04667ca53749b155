//! Differences between two OpenAPI documents: one line for each, in a stable order.
//!
//! An answer may promise more than the published one: a field that is always there, or never null, or one of a few words,
//! is also what the published document describes. Everything else counts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::shape::Shape;

/// Values that contain themselves are compared no deeper than this.
const MAX_DEPTH: usize = 12;
const METHODS: [&str; 5] = ["delete", "get", "patch", "post", "put"];

/// Direction of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// The published document and ours.
struct Documents<'a> {
    there: &'a Json,
    here: &'a Json,
    lines: BTreeSet<String>,
}

/// Returns the differences between the published document and ours. What is marked as ours is left out.
pub fn differences(there: &Json, here: &Json) -> BTreeSet<String> {
    let mut documents = Documents {
        there,
        here,
        lines: BTreeSet::new(),
    };
    let (published, ours) = (operations(there), operations(here));
    let names: BTreeSet<_> = published.keys().chain(ours.keys()).collect();
    for name in names {
        match (published.get(name), ours.get(name)) {
            (Some(there), Some(here)) => documents.operation(name, there, here),
            (Some(_), None) => documents.say(name, "missing here"),
            (None, Some(here)) if here["x-orgplane"] != true => documents.say(name, "only here"),
            _ => {}
        }
    }
    documents.lines
}

/// Returns every operation by its method and path.
fn operations(document: &Json) -> BTreeMap<String, &Json> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let of = |method: &str| {
                let name = format!("{} {path}", method.to_uppercase());
                item.get(method).map(|operation| (name, operation))
            };
            METHODS.into_iter().filter_map(of).collect::<Vec<_>>()
        })
        .collect()
}

impl<'a> Documents<'a> {
    fn say(&mut self, place: &str, what: &str) {
        self.lines.insert(format!("{place}: {what}"));
    }

    fn operation(&mut self, name: &str, there: &'a Json, here: &'a Json) {
        self.parameters(name, there, here);
        let schema = "/content/application~1json/schema";
        let body = |operation: &'a Json| operation["requestBody"].pointer(schema);
        self.optional(Way::In, &format!("{name} body"), body(there), body(here));
        let answer = |operation: &'a Json| operation["responses"]["200"].pointer(schema);
        self.optional(
            Way::Out,
            &format!("{name} answer"),
            answer(there),
            answer(here),
        );
    }

    fn parameters(&mut self, name: &str, there: &'a Json, here: &'a Json) {
        let (there, here) = (parameters(there), parameters(here));
        let names: BTreeSet<_> = there.keys().chain(here.keys()).collect();
        for parameter in names {
            let place = format!("{name} {} {}", parameter.0, parameter.1);
            match (there.get(parameter), here.get(parameter)) {
                (Some(there), Some(here)) => {
                    self.flag(
                        &place,
                        "required",
                        there["required"] == true,
                        here["required"] == true,
                    );
                    self.schemas(Way::In, &place, (&there["schema"], &here["schema"]), 0);
                }
                (Some(_), None) => self.say(&place, "missing here"),
                (None, Some(here)) if here["x-orgplane"] == true => {}
                (None, _) => self.say(&place, "only here"),
            }
        }
    }

    fn optional(&mut self, way: Way, place: &str, there: Option<&'a Json>, here: Option<&'a Json>) {
        match (there, here) {
            (Some(there), Some(here)) => self.schemas(way, place, (there, here), 0),
            (Some(_), None) => self.say(place, "missing here"),
            (None, Some(_)) => self.say(place, "only here"),
            (None, None) => {}
        }
    }

    fn flag(&mut self, place: &str, what: &str, there: bool, here: bool) {
        match (there, here) {
            (true, false) => self.say(place, &format!("{what} there, not here")),
            (false, true) => self.say(place, &format!("{what} here, not there")),
            _ => {}
        }
    }

    fn schemas(
        &mut self,
        way: Way,
        place: &str,
        (there, here): (&'a Json, &'a Json),
        depth: usize,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        let ours = Shape::of(self.here, here);
        let published = Shape::of(self.there, there).kind_like(self.there, &ours, self.here);
        if way == Way::In || ours.nullable {
            self.flag(place, "nullable", published.nullable, ours.nullable);
        }
        self.values(way, place, published.values.as_ref(), ours.values.as_ref());
        if let (Some(there), Some(here)) = (published.items, ours.items) {
            self.schemas(way, &format!("{place}[]"), (there, here), depth + 1);
        }
        // Where one side does not say what an object holds, there is nothing to compare.
        if !published.fields.is_empty() && !ours.fields.is_empty() {
            self.fields(way, place, &published, &ours, depth);
        }
    }

    fn fields(
        &mut self,
        way: Way,
        place: &str,
        published: &Shape<'a>,
        ours: &Shape<'a>,
        depth: usize,
    ) {
        let names: BTreeSet<_> = published.fields.keys().chain(ours.fields.keys()).collect();
        for name in names {
            let place = format!("{place}.{name}");
            match (published.fields.get(name), ours.fields.get(name)) {
                (Some(there), Some(here)) => {
                    let [there_always, here_always] =
                        [published, ours].map(|shape| shape.required.contains(name));
                    if way == Way::In || !here_always {
                        self.flag(&place, "required", there_always, here_always);
                    }
                    self.schemas(way, &place, (there, here), depth + 1);
                }
                (Some(_), None) if ours.open && !published.required.contains(name) => {}
                (Some(_), None) => self.say(&place, "missing here"),
                (None, _) => self.say(&place, "only here"),
            }
        }
    }

    fn values(
        &mut self,
        way: Way,
        place: &str,
        there: Option<&BTreeSet<String>>,
        here: Option<&BTreeSet<String>>,
    ) {
        let shown = |words: Vec<&String>| {
            words
                .into_iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match (there, here) {
            (Some(_), None) => self.say(place, "one of a few words there, anything here"),
            (None, Some(_)) if way == Way::In => {
                self.say(place, "anything there, one of a few words here");
            }
            (Some(there), Some(here)) => {
                let more: Vec<_> = here.difference(there).collect();
                if !more.is_empty() {
                    self.say(place, &format!("only here: {}", shown(more)));
                }
                let fewer: Vec<_> = there.difference(here).collect();
                if way == Way::In && !fewer.is_empty() {
                    self.say(place, &format!("only there: {}", shown(fewer)));
                }
            }
            _ => {}
        }
    }
}

/// Returns the parameters by where they are and what they are called; `[]` after a name is a way to write an array.
fn parameters(operation: &Json) -> BTreeMap<(String, String), &Json> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.map(|parameter| {
        let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
        let name = text("name").trim_end_matches("[]").to_owned();
        ((text("in"), name), parameter)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(operation: &Json) -> Json {
        json!({"paths": {"/a": {"get": operation}}})
    }

    #[test]
    fn the_same_document_does_not_differ() {
        let one = document(
            &json!({"parameters": [{"name": "a", "in": "query", "schema": {"enum": ["x"]}}]}),
        );
        assert!(differences(&one, &one).is_empty());
    }

    #[test]
    fn operations_and_parameters_are_compared() {
        let parameter = |name: &str, required: bool, values: Json| json!({"name": name, "in": "query", "required": required, "schema": {"enum": values}});
        let there = document(
            &json!({"parameters": [parameter("a", true, json!(["x", "y"])), parameter("b[]", false, json!(["x"]))]}),
        );
        let mut here = document(
            &json!({"parameters": [parameter("a", false, json!(["x"])), parameter("c", false, json!(["x"]))]}),
        );
        let mut own = parameter("own", false, json!(["x"]));
        own["x-orgplane"] = json!(true);
        let parameters = here["paths"]["/a"]["get"]["parameters"].as_array_mut();
        parameters.expect("parameters").push(own);
        here["paths"]["/a"]["post"] = json!({});
        here["paths"]["/own"] = json!({"get": {"x-orgplane": true}});
        let found: Vec<_> = differences(&there, &here).into_iter().collect();
        let expected = [
            "GET /a query a: only there: y",
            "GET /a query a: required there, not here",
            "GET /a query b: missing here",
            "GET /a query c: only here",
            "POST /a: only here",
        ];
        assert_eq!(found, expected);
        assert_eq!(
            differences(&here, &there).len(),
            7,
            "the other way round, /own and own are not marked"
        );
    }

    #[test]
    fn bodies_are_compared_field_by_field() {
        let answer = |schema: Json| {
            document(
                &json!({"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}),
            )
        };
        let kind = |name: &str| json!({"properties": {"object": {"enum": [name]}, "n": {"type": "integer"}}});
        let there = answer(json!({
            "properties": {"data": {"items": {"oneOf": [kind("a"), kind("b")]}}, "x": {"type": "string"}, "y": {}},
            "required": ["x"],
        }));
        let here = answer(json!({
            "properties": {"data": {"items": kind("b")}, "x": {"type": ["string", "null"]}, "z": {}},
            "required": ["data"],
        }));
        let found: Vec<_> = differences(&there, &here).into_iter().collect();
        let expected = [
            "GET /a answer.x: nullable here, not there",
            "GET /a answer.x: required there, not here",
            "GET /a answer.y: missing here",
            "GET /a answer.z: only here",
        ];
        assert_eq!(found, expected);
    }
}
