//! The configuration reference: a page of documentation, generated from the types of the configuration file.

use std::fmt::Write;

use clap::{Args, Command};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{ConfigFile, Overrides};

/// Text before the table.
const INTRODUCTION: &str = "\
# Configuration reference

`orgplane config reference` prints this page; do not edit it.

Flags override the environment, which overrides the configuration file (`--config`, else `orgplane.toml` if it exists), which
overrides the defaults. An unknown key is an error. `orgplane config show` prints the configuration in effect, without secrets.
Files are UTF-8; a byte order mark and CRLF line ends are accepted.

`ORGPLANE_BOOTSTRAP_ADMIN_KEY` sets the first admin key of an empty database; see [Getting started](getting-started.md).
";

/// Returns the configuration reference as Markdown: one table of keys for each table of the file.
#[must_use]
pub fn reference() -> String {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings
        .into_generator()
        .into_root_schema_for::<ConfigFile>();
    let schema = schema.as_value();
    let overrides = Overrides::augment_args(Command::new("orgplane"));
    let (tables, keys): (Vec<_>, Vec<_>) = properties(schema)
        .into_iter()
        .partition(|(_, schema)| !properties(table_schema(schema)).is_empty());
    let mut page = INTRODUCTION.to_owned();
    page += "\n## Top level\n\n";
    write_table(&mut page, "", keys, &[], &overrides);
    for (name, schema) in tables {
        let table = table_schema(schema);
        let heading = if is_list(schema) {
            format!("[[{name}]]")
        } else {
            format!("[{name}]")
        };
        let about = description(table);
        write!(page, "\n## `{heading}`\n\n{about}\n\n").expect("strings can be written to");
        let required = table["required"].as_array().map_or(&[][..], Vec::as_slice);
        write_table(&mut page, name, properties(table), required, &overrides);
    }
    page
}

/// Writes the rows of the keys of `table`; the top level has no name.
fn write_table(
    page: &mut String,
    table: &str,
    keys: Vec<(&str, &Value)>,
    required: &[Value],
    overrides: &Command,
) {
    page.push_str("| key | type | default | environment | meaning |\n|---|---|---|---|---|\n");
    for (key, schema) in keys {
        let shown = if is_list(schema) && schema["items"] == Value::Bool(true) {
            format!("[[{key}]]")
        } else {
            key.to_owned()
        };
        let id = if table.is_empty() {
            key.to_owned()
        } else {
            format!("{table}_{key}")
        };
        let argument = overrides
            .get_arguments()
            .find(|argument| argument.get_id() == id.as_str());
        let variable = argument.and_then(|argument| argument.get_env());
        let variable = variable.and_then(|variable| variable.to_str());
        let variable = variable.map_or(String::new(), |variable| format!("`{variable}`"));
        let default = if required.iter().any(|name| name == key) {
            "required".to_owned()
        } else {
            default(schema)
        };
        let (kind, meaning) = (kind(schema), description(schema));
        writeln!(
            page,
            "| `{shown}` | {kind} | {default} | {variable} | {meaning} |"
        )
        .expect("strings can be written to");
    }
}

fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, schema)| (name.as_str(), schema))
        .collect()
}

fn is_list(schema: &Value) -> bool {
    schema["type"] == "array"
}

/// Returns the schema of a table, also if the file has a list of such tables.
fn table_schema(schema: &Value) -> &Value {
    if is_list(schema) {
        &schema["items"]
    } else {
        schema
    }
}

fn description(schema: &Value) -> String {
    let description = schema.get("description").and_then(Value::as_str);
    description.unwrap_or_default().replace('\n', " ")
}

/// Returns the type of a key in words.
fn kind(schema: &Value) -> String {
    let words = enumerated(schema);
    if !words.is_empty() {
        return words.join(", ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types.into_iter().find(|name| *name != "null") {
        Some("array") if schema["items"] == Value::Bool(true) => "tables".to_owned(),
        Some("array") => {
            let items = &schema["items"];
            let plural = if enumerated(items).is_empty() {
                "s"
            } else {
                ""
            };
            format!("list of {}{plural}", kind(items))
        }
        Some("object") => "table of strings".to_owned(),
        Some(name) => name.to_owned(),
        None => String::new(),
    }
}

/// Returns the values that a key may have, if they are enumerated.
fn enumerated(schema: &Value) -> Vec<String> {
    let alternatives = schema.get("oneOf").or(schema.get("anyOf"));
    let alternatives = alternatives.and_then(Value::as_array).into_iter().flatten();
    let own = schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let own = own.chain(schema.get("const")).filter_map(Value::as_str);
    let own: Vec<String> = own.map(|value| format!("`{value}`")).collect();
    alternatives.flat_map(enumerated).chain(own).collect()
}

/// Returns the default of a key: the one that is documented, or else that of its type.
fn default(schema: &Value) -> String {
    if let Some(text) = schema.get("x-default").and_then(Value::as_str) {
        return text.to_owned();
    }
    match schema.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(value) => format!("`{value}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_reference_in_the_documents_is_that_of_the_program() {
        let page = include_str!("../../../../docs/configuration.md");
        let hint = "run `cargo run -- config reference > docs/configuration.md`";
        assert!(page == reference(), "the page is out of date: {hint}");
    }

    #[test]
    fn configuration_reference_explains_every_key() {
        for row in reference().lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            assert_eq!(cells.len(), 5, "{row}");
            assert!(cells[4].len() > 10 && !cells[1].is_empty(), "{row}");
        }
    }
}
