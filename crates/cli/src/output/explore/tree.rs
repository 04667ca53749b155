//! An item as the nodes of a tree, in the order of their rows.

use crate::output::cell::Cell;
use crate::output::characters::line;
use crate::output::colour::Role;
use crate::output::unicode_table::words;
use crate::output::value::Value;

/// A node: a leaf, or an object or list that can be opened.
#[derive(Debug, PartialEq)]
pub struct Node {
    pub depth: usize,
    /// The key, or the number in a list; empty for an item itself.
    pub label: String,
    pub text: String,
    pub role: Role,
    pub is_open: bool,
    /// The position after the last node inside.
    pub end: usize,
    pub has_inside: bool,
}

/// Returns the nodes of an item, all closed.
pub fn nodes(text: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    match Value::parse(text) {
        Ok(value) => {
            add(&mut nodes, String::new(), "", &value, 0);
            if !value.is_leaf() {
                nodes[0].text = summary(&value);
                nodes[0].role = Role::Heading;
            }
        }
        Err(_) => nodes.push(Node {
            depth: 0,
            label: String::new(),
            text: line(text).into_owned(),
            role: Role::Text,
            is_open: false,
            end: 1,
            has_inside: false,
        }),
    }
    nodes
}

/// Returns the fields that identify an item.
fn summary(value: &Value) -> String {
    let named = ["id", "name", "email", "type", "object"];
    let words = named.iter().filter_map(|key| value.get(key)?.text());
    let words: Vec<_> = words.take(3).map(|word| line(&word).into_owned()).collect();
    if words.is_empty() {
        return inside(value);
    }
    words.join("  ")
}

fn inside(value: &Value) -> String {
    let (count, one, many) = match value {
        Value::List(items) => (items.len(), "item", "items"),
        Value::Object(fields) => (fields.len(), "field", "fields"),
        _ => return String::new(),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

fn add(nodes: &mut Vec<Node>, label: String, key: &str, value: &Value, depth: usize) {
    let place = nodes.len();
    let has_inside = !value.is_leaf();
    let (role, text) = match value {
        _ if has_inside => (Role::Faint, inside(value)),
        Value::Number(_) => {
            let cell = Cell::of(key, value);
            (cell.role, cell.text)
        }
        leaf => {
            let (role, text) = words(leaf);
            (role, line(&text).into_owned())
        }
    };
    nodes.push(Node {
        depth,
        label,
        text,
        role,
        is_open: false,
        end: 0,
        has_inside,
    });
    match value {
        Value::Object(fields) => {
            for (key, item) in fields {
                let key = key.plain();
                add(nodes, line(&key).into_owned(), &key, item, depth + 1);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                add(nodes, (index + 1).to_string(), "", item, depth + 1);
            }
        }
        _ => {}
    }
    nodes[place].end = nodes.len();
}
