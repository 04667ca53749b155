//! The request of a command, made from its arguments and from the document on stdin.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};

use crate::api::{ApiCommand, CommandFlag, FlagLocation};
use crate::failure::Failure;
use crate::parsed_args::ParsedArgs;
use crate::value::combine;
use crate::{file, stdin};

/// The characters that are percent-encoded: all but the unreserved ones of RFC 3986.
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The query parameters that name an item or a page where a list continues.
const CURSORS: [&str; 3] = ["after", "before", "page"];

/// A request without the server's address.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path below the base URL.
    pub path: String,
    /// The parameters of the query, not yet encoded.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Option<Json>,
}

impl Request {
    /// Returns the path and the query, percent-encoded.
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

    /// Replaces one parameter of the query.
    pub fn set(&mut self, key: &str, value: String) {
        self.query.retain(|(other, _)| other != key);
        self.query.push((key.to_owned(), value));
    }

    /// Returns true if the query has this parameter, and it is not empty.
    pub fn has(&self, key: &str) -> bool {
        self.query
            .iter()
            .any(|(other, value)| other == key && !value.is_empty())
    }
}

/// Builds the request. `program` is named by the message about flags that are not set.
pub fn build(
    program: &str,
    command: &ApiCommand,
    arguments: &ParsedArgs,
) -> Result<Request, Failure> {
    let flags = command.flags.iter().enumerate();
    let mut values: Values = flags
        .map(|(position, flag)| combine(flag, arguments.of_flag(position)))
        .collect();
    let mut texts = arguments.values.iter().map(|value| &value.text);
    let piped = if texts.any(|text| file::names_stdin(text)) {
        None
    } else {
        let is_required = !missing(command, &values).is_empty();
        stdin::read(is_required).map_err(|reason| Failure::Runtime(anyhow::Error::msg(reason)))?
    };
    let body = merge(command, &mut values, piped)?;
    let mut missing = missing(command, &values);
    if body.as_ref().is_some_and(|body| !body.is_object()) {
        missing.retain(|flag| flag.location != FlagLocation::Body);
    }
    if !missing.is_empty() {
        return Err(Failure::Usage(not_set(program, command, &missing)));
    }
    Ok(Request {
        method: command.operation.method.clone(),
        path: path(command, &values)?,
        query: query(command, &values),
        body,
    })
}

/// The value of each flag, at its position.
type Values = Vec<Option<Json>>;

fn missing<'command>(command: &'command ApiCommand, values: &Values) -> Vec<&'command CommandFlag> {
    let flags = command.flags.iter().zip(values);
    flags
        .filter(|(flag, value)| flag.field.is_required && value.is_none())
        .map(|(flag, _)| flag)
        .collect()
}

fn not_set(program: &str, command: &ApiCommand, missing: &[&CommandFlag]) -> String {
    let names: Vec<&str> = missing.iter().map(|flag| flag.name.as_str()).collect();
    let s = if names.len() == 1 { "" } else { "s" };
    format!(
        "Required flag{s} \"{}\" not set\nRun '{program} {} --help' for usage information",
        names.join(", "),
        command.name()
    )
}

/// Adds the piped fields to the values that no flag has set, and returns the body.
fn merge(
    command: &ApiCommand,
    values: &mut Values,
    piped: Option<Json>,
) -> Result<Option<Json>, Failure> {
    let mut fields = match piped {
        None => Map::new(),
        Some(Json::Object(fields)) => fields,
        Some(_) if command.operation.body.is_none() => Map::new(),
        Some(other) => {
            let mut flags = command.flags.iter().zip(values.iter());
            if flags.any(|(flag, value)| flag.location == FlagLocation::Body && value.is_some()) {
                return Err(Failure::Usage(format!(
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
    if command.operation.body.is_none() {
        return Ok(None);
    }
    // Fields without a flag are sent too: a newer server may know them.
    let flags = command.flags.iter().zip(values.iter());
    fields.extend(
        flags
            .filter(|(flag, _)| flag.location == FlagLocation::Body)
            .filter_map(|(flag, value)| Some((flag.field.key.clone(), value.clone()?))),
    );
    Ok(Some(Json::Object(fields)))
}

fn path(command: &ApiCommand, values: &Values) -> Result<String, Failure> {
    let mut path = command.operation.path.to_owned();
    for (flag, value) in command.flags.iter().zip(values) {
        if flag.location != FlagLocation::Path {
            continue;
        }
        let text = value.as_ref().map(plain).unwrap_or_default();
        if text.is_empty() || text == "." || text == ".." {
            return Err(Failure::Usage(format!(
                "--{} must be an id, not '{text}'",
                flag.name
            )));
        }
        path = path.replace(&format!("{{{}}}", flag.field.key), &encoded(&text));
    }
    Ok(path)
}

fn query(command: &ApiCommand, values: &Values) -> Vec<(String, String)> {
    let mut query = Vec::new();
    for (flag, value) in command.flags.iter().zip(values) {
        // Scripts pass on the cursor of the last page, which is null.
        let is_null = value.as_ref().is_some_and(|value| value == "null");
        if is_null && CURSORS.contains(&flag.field.key.as_str()) {
            continue;
        }
        if let (FlagLocation::Query, Some(value)) = (flag.location, value) {
            spread(flag.field.key.clone(), value, &mut query);
        }
    }
    query
}

/// Adds a value to the query: lists as `key[]=…`, maps as `key[field]=…`, null as `key=`.
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

/// Returns a value as text without quotes; null is empty.
fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::build;
    use crate::api::{Api, example};
    use crate::command_tree;
    use crate::parsed_args::ParsedArgs;

    #[test]
    fn every_example_makes_a_request() {
        for command in Api::get().commands() {
            let line = example("orgplane", &command).replace("@ca.pem", "PEM");
            let rest = line.strip_prefix(&format!("orgplane {}", command.operation.resource));
            let rest = rest.expect("an example begins with the command's words");
            let parts = rest.split('\'').enumerate();
            let words = parts.flat_map(|(number, part)| match number % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            });
            let matches = command_tree::verb(&command).try_get_matches_from(words);
            let matches = matches.unwrap_or_else(|error| panic!("{line}: {error}"));
            let arguments = ParsedArgs::new(&command, &matches);
            let arguments = arguments.unwrap_or_else(|failure| panic!("{line}: {failure:?}"));
            let request = build("orgplane", &command, &arguments);
            let request = request.unwrap_or_else(|failure| panic!("{line}: {failure:?}"));
            assert_eq!(
                request.body.is_some(),
                command.operation.body.is_some(),
                "{line}"
            );
            assert!(!request.path.contains('{'), "{line}: {}", request.path);
        }
    }
}
