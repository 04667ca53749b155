//! The operations of the Administration API, with the fields of their queries and bodies.

use std::collections::HashMap;

use admin::operation::{Operation, document};
use http::Method;
use serde_json::Value as Json;

use crate::schema::{FieldSchema, field, fields_of, inlined};

/// An operation with its fields.
pub(crate) struct KnownOperation {
    /// The operation.
    pub(crate) operation: Operation,
    /// Fields of the body.
    pub(crate) body: Vec<FieldSchema>,
    /// Parameters of the query.
    pub(crate) query: Vec<FieldSchema>,
}

/// All operations.
pub(crate) struct Registry {
    operations: Vec<KnownOperation>,
    by_path: HashMap<(Method, &'static str), usize>,
}

impl Registry {
    /// Reads the operations and their schemas.
    pub(crate) fn new() -> Self {
        let operations = admin::operations();
        let document = document(&operations);
        let known = |operation: Operation| {
            let method = operation.method.as_str().to_lowercase();
            let entry = &document["paths"][operation.path][method];
            KnownOperation {
                body: body_fields(entry, &document["components"]),
                query: query_fields(entry, &document["components"]),
                operation,
            }
        };
        let operations: Vec<KnownOperation> = operations.into_iter().map(known).collect();
        let by_path = operations.iter().enumerate().map(|(index, known)| {
            let operation = &known.operation;
            ((operation.method.clone(), operation.path), index)
        });
        Self {
            by_path: by_path.collect(),
            operations,
        }
    }

    /// Returns all operations.
    #[cfg(test)]
    pub(crate) fn operations(&self) -> &[KnownOperation] {
        &self.operations
    }

    /// Returns the operation at a path template.
    pub(crate) fn find(&self, method: &Method, template: &'static str) -> Option<&KnownOperation> {
        let index = self.by_path.get(&(method.clone(), template))?;
        self.operations.get(*index)
    }

    /// Returns the operation that a path with values of its parameters names. A path without parameters wins over one with.
    pub(crate) fn matching(&self, method: &Method, path: &str) -> Option<&KnownOperation> {
        let candidates = self.operations.iter().filter(|known| {
            let operation = &known.operation;
            operation.method == *method && matches_template(operation.path, path)
        });
        candidates.min_by_key(|known| known.operation.path_parameters().count())
    }
}

/// True if a path has the segments of a template, and any value for each parameter.
fn matches_template(template: &str, path: &str) -> bool {
    let mut values = path.split('/');
    let mut segments = template.split('/');
    loop {
        match (segments.next(), values.next()) {
            (None, None) => return true,
            (Some(segment), Some(value)) if segment == value => {}
            (Some(segment), Some(value)) if segment.starts_with('{') && !value.is_empty() => {}
            _ => return false,
        }
    }
}

fn body_fields(entry: &Json, components: &Json) -> Vec<FieldSchema> {
    let schema = &entry["requestBody"]["content"]["application/json"]["schema"];
    fields_of(&inlined(schema, components))
}

fn query_fields(entry: &Json, components: &Json) -> Vec<FieldSchema> {
    let parameters = entry["parameters"].as_array().into_iter().flatten();
    let of_query = parameters.filter(|parameter| parameter["in"] == "query");
    let read = |parameter: &Json| {
        let name = parameter["name"].as_str().unwrap_or_default();
        let schema = inlined(&parameter["schema"], components);
        field(name, &schema, parameter["required"] == true)
    };
    of_query.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_template_and_by_a_path() {
        let registry = Registry::new();
        for known in registry.operations() {
            let operation = &known.operation;
            let found = registry.find(&operation.method, operation.path);
            assert!(found.is_some_and(|found| found.operation.command == operation.command));
            let path: Vec<&str> = operation
                .path
                .split('/')
                .map(|segment| {
                    if segment.starts_with('{') {
                        "x_1"
                    } else {
                        segment
                    }
                })
                .collect();
            let found = registry.matching(&operation.method, &path.join("/"));
            assert!(
                found.is_some_and(|found| found.operation.command == operation.command),
                "{}",
                operation.path
            );
        }
    }

    #[test]
    fn fields_of_a_body_and_parameters_of_a_query_are_known() {
        let registry = Registry::new();
        let create = registry.find(&Method::POST, "/organization/invites");
        let names: Vec<&str> = create
            .map(|known| known.body.iter().map(|field| field.name.as_str()).collect())
            .unwrap_or_default();
        assert_eq!(names, ["email", "role", "projects"]);
        let list = registry.find(&Method::GET, "/organization/projects");
        assert!(list.is_some_and(|known| known.query.iter().any(|field| field.name == "limit")));
    }
}
