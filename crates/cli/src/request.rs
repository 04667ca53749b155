//! The request that a command makes of its arguments and of what is piped in.

use http::Method;
use serde_json::{Map, Value as Json};

use crate::arguments::{Arguments, Given};
use crate::command::{Command, Flag, Place};
use crate::failure::Failure;
use crate::value::value;
use crate::{file, stdin};

/// A request, before it has an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path below the base URL.
    pub path: String,
    /// The parts of the query, not yet encoded.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Option<Json>,
}

impl Request {
    /// The path and the query, encoded.
    pub fn address(&self) -> String {
        let mut pairs: Vec<String> = self
            .query
            .iter()
            .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
            .collect();
        pairs.sort();
        let mark = if pairs.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.path, pairs.join("&"))
    }

    /// Sets one part of the query, instead of any that was there.
    pub fn set(&mut self, key: &str, value: String) {
        self.query.retain(|(other, _)| other != key);
        self.query.push((key.to_owned(), value));
    }

    /// Whether the query has this part.
    pub fn has(&self, key: &str) -> bool {
        self.query
            .iter()
            .any(|(other, value)| other == key && !value.is_empty())
    }
}

/// Builds the request. `program` is what the help is asked of.
pub fn build(program: &str, command: &Command, arguments: &Arguments) -> Result<Request, Failure> {
    let mut values = given(command, &arguments.given)?;
    let piped = if arguments
        .given
        .iter()
        .any(|given| file::names_stdin(&given.text))
    {
        None
    } else {
        let is_needed = !missing(command, &values).is_empty();
        stdin::read(is_needed).map_err(|reason| Failure::Failed(anyhow::Error::msg(reason)))?
    };
    let body = merge(command, &mut values, piped)?;
    let mut missing = missing(command, &values);
    if body.as_ref().is_some_and(|body| !body.is_object()) {
        missing.retain(|flag| flag.place != Place::Body);
    }
    if !missing.is_empty() {
        return Err(Failure::Words(not_set(program, command, &missing)));
    }
    Ok(Request {
        method: command.method.clone(),
        path: path(command, &values)?,
        query: query(command, &values),
        body,
    })
}

/// The value of each flag, at its position.
type Values = Vec<Option<Json>>;

fn given(command: &Command, given: &[Given]) -> Result<Values, Failure> {
    let flags = command.flags.iter().enumerate();
    flags
        .map(|(position, flag)| {
            let given: Vec<&Given> = given
                .iter()
                .filter(|given| given.flag == position)
                .collect();
            if given.is_empty() {
                return Ok(None);
            }
            value(flag, &given).map(Some).map_err(Failure::Words)
        })
        .collect()
}

fn missing<'command>(command: &'command Command, values: &Values) -> Vec<&'command Flag> {
    let flags = command.flags.iter().zip(values);
    flags
        .filter(|(flag, value)| flag.field.is_required && value.is_none())
        .map(|(flag, _)| flag)
        .collect()
}

fn not_set(program: &str, command: &Command, missing: &[&Flag]) -> String {
    let names: Vec<&str> = missing.iter().map(|flag| flag.name.as_str()).collect();
    let s = if names.len() == 1 { "" } else { "s" };
    format!(
        "Required flag{s} \"{}\" not set\nRun '{program} {} --help' for usage information",
        names.join(", "),
        command.words()
    )
}

/// Completes the values by what is piped in, where flags say nothing else, and gives back the body.
fn merge(
    command: &Command,
    values: &mut Values,
    piped: Option<Json>,
) -> Result<Option<Json>, Failure> {
    let mut fields = match piped {
        None => Map::new(),
        Some(Json::Object(fields)) => fields,
        Some(_) if !command.has_body => Map::new(),
        Some(other) => {
            let mut flags = command.flags.iter().zip(values.iter());
            if flags.any(|(flag, value)| flag.place == Place::Body && value.is_some()) {
                return Err(Failure::Words(format!(
                    "Cannot merge flags with a body that is not a map: {other}"
                )));
            }
            return Ok(Some(other));
        }
    };
    for (flag, value) in command.flags.iter().zip(values.iter_mut()) {
        let piped = fields.remove(&flag.field.key);
        if value.is_none() {
            *value = piped;
        }
    }
    if !command.has_body {
        return Ok(None);
    }
    // What no flag is for is sent too: the server knows more than its older clients.
    let flags = command.flags.iter().zip(values.iter());
    fields.extend(
        flags
            .filter(|(flag, _)| flag.place == Place::Body)
            .filter_map(|(flag, value)| Some((flag.field.key.clone(), value.clone()?))),
    );
    Ok(Some(Json::Object(fields)))
}

fn path(command: &Command, values: &Values) -> Result<String, Failure> {
    let mut path = command.path.to_owned();
    for (flag, value) in command.flags.iter().zip(values) {
        if flag.place != Place::Path {
            continue;
        }
        let text = value.as_ref().map(plain).unwrap_or_default();
        if text.is_empty() || text == "." || text == ".." {
            return Err(Failure::Words(format!(
                "--{} must be an id, not '{text}'",
                flag.name
            )));
        }
        path = path.replace(&format!("{{{}}}", flag.field.key), &encoded(&text));
    }
    Ok(path)
}

/// The parameters that name an item, or a page, where a list goes on.
const CURSORS: [&str; 3] = ["after", "before", "page"];

fn query(command: &Command, values: &Values) -> Vec<(String, String)> {
    let mut query = Vec::new();
    for (flag, value) in command.flags.iter().zip(values) {
        // A script passes on what a page without a next one says.
        let is_null = value.as_ref().is_some_and(|value| value == "null");
        if is_null && CURSORS.contains(&flag.field.key.as_str()) {
            continue;
        }
        if let (Place::Query, Some(value)) = (flag.place, value) {
            spread(flag.field.key.clone(), value, &mut query);
        }
    }
    query
}

/// Lists as `key[]=…`, maps as `key[field]=…`, null as `key=`.
fn spread(key: String, value: &Json, query: &mut Vec<(String, String)>) {
    match value {
        Json::Array(elements) => {
            for element in elements {
                spread(format!("{key}[]"), element, query);
            }
        }
        Json::Object(fields) => {
            for (field, value) in fields {
                spread(format!("{key}[{field}]"), value, query);
            }
        }
        other => query.push((key, plain(other))),
    }
}

/// A value as text without quotes; null is empty.
fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Percent-encodes everything that has a meaning in an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
