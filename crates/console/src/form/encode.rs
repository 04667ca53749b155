//! The values of an item as the pairs of a form.

use base::NanoDollars;
use pages::FormData;
use serde_json::Value as Json;

use super::{Form, FormControl, FormField};
use crate::cell::text_of;

/// Returns the pairs of a form that shows an item; those of a new form if there is none.
pub(crate) fn pairs_of(form: &Form, item: Option<&Json>) -> FormData {
    let mut pairs = Vec::new();
    for field in &form.fields {
        match item {
            Some(item) => {
                let value = item.pointer(&field.source).unwrap_or(&Json::Null);
                encode(field, &field.name, value, &mut pairs);
            }
            None => default(field, &mut pairs),
        }
    }
    pairs.into_iter().collect()
}

/// Adds the pairs of a new form.
fn default(field: &FormField, pairs: &mut Vec<(String, String)>) {
    match &field.control {
        FormControl::Hidden(value) => pairs.push((field.name.clone(), value.clone())),
        FormControl::Group => field
            .children
            .iter()
            .for_each(|child| default(child, pairs)),
        _ if !field.default.is_empty() => {
            pairs.push((field.name.clone(), field.default.clone()));
        }
        _ => {}
    }
}

/// Adds the pairs of a value.
fn encode(field: &FormField, name: &str, value: &Json, pairs: &mut Vec<(String, String)>) {
    let mut put = |value: String| pairs.push((name.to_owned(), value));
    match (&field.control, value) {
        (FormControl::Hidden(value), _) => put(value.clone()),
        (FormControl::Group, value) => {
            for child in &field.children {
                let inner = value.get(&child.key).unwrap_or(&Json::Null);
                encode(child, &child.name, inner, pairs);
            }
        }
        (FormControl::Rows, Json::Array(rows)) => {
            for (index, row) in rows.iter().enumerate() {
                for child in &field.children {
                    let inner = row.get(&child.key).unwrap_or(&Json::Null);
                    encode(child, &row_name(name, index, &child.key), inner, pairs);
                }
            }
        }
        (FormControl::Span(_), _) | (_, Json::Null) => {}
        (FormControl::Checkbox, value) => {
            if *value == true {
                put("true".to_owned());
            }
        }
        (FormControl::Dollars, value) => {
            let cents = value.as_i64().unwrap_or_default();
            put(NanoDollars::from_cents(cents).decimal().to_string());
        }
        (FormControl::Lines, Json::Array(items)) => {
            let lines: Vec<String> = items.iter().map(text_of).collect();
            put(lines.join("\n"));
        }
        (
            FormControl::Permissions
            | FormControl::PickMany(_)
            | FormControl::Some(_)
            | FormControl::AllOr(_),
            Json::Array(items),
        ) => items.iter().map(text_of).for_each(put),
        (FormControl::Json, value) => put(value.to_string()),
        (_, value) => put(text_of(value)),
    }
}

/// Returns the name of a field in a row.
pub(super) fn row_name(list: &str, index: usize, key: &str) -> String {
    format!("{list}[{index}].{key}")
}
