//! The default format on a terminal: lists and reports as a table, an object as its fields.

use super::cell::Cell;
use super::characters::{columns, fit, line, lines, spaces};
use super::colour::{Palette, Role};
use super::json;
use super::table::{Row, Table, row};
use super::value::Value;

/// The largest width of the column of paths.
const MAX_PATH_COLUMNS: usize = 40;

/// Returns a response with a newline at the end.
pub fn response(value: &Value, width: usize, palette: Palette) -> String {
    let data = value.get("data").and_then(Value::objects);
    match (value, data) {
        (Value::Object(_), Some(buckets)) if is_page(value) => {
            table(buckets.iter().flat_map(results), width, palette) + &more(value, palette)
        }
        (Value::Object(_), Some(items)) => {
            table(items.iter().map(row), width, palette) + &more(value, palette)
        }
        (Value::Object(parts), None) if !parts.is_empty() => fields(value, palette),
        _ => match value.objects() {
            Some(items) => table(items.iter().map(row), width, palette),
            None => json::pretty(value, palette) + "\n",
        },
    }
}

/// Returns true for a page of a report of usage or costs.
pub fn is_page(value: &Value) -> bool {
    value.get("object").and_then(Value::text).as_deref() == Some("page")
}

fn table(rows: impl Iterator<Item = Row>, width: usize, palette: Palette) -> String {
    let mut table = Table::new(width, palette);
    let mut out: String = rows.map(|row| table.add(row)).collect();
    out += &table.end();
    out
}

/// Returns a row for each result of a bucket of time. Fields that the report was not grouped by are null and left out; a
/// bucket without results has a row with its start alone.
fn results(bucket: &Value) -> Vec<Row> {
    let start = bucket.get("start_time").unwrap_or(&Value::Null);
    let start = ("start_time".to_owned(), Cell::of("start_time", start));
    let results = bucket.get("results").and_then(Value::objects);
    let with_start = |result: &Value| {
        let cells = row(result).into_iter().filter(|(_, cell)| !cell.is_empty());
        std::iter::once(start.clone()).chain(cells).collect()
    };
    match results {
        Some(results) => results.iter().map(with_start).collect(),
        None => vec![vec![start]],
    }
}

/// Returns the flag that asks for the next page.
fn more(page: &Value, palette: Palette) -> String {
    let cursor = |key, flag| {
        let cursor = page.get(key).and_then(Value::text)?;
        Some(format!("More: {flag} {}", line(&cursor)))
    };
    let is_more = page.get("has_more") == Some(&Value::Bool(true));
    let remark = cursor("next_page", "--page").or_else(|| cursor("last_id", "--after"));
    let mut out = String::new();
    if let Some(remark) = remark.filter(|_| is_more) {
        palette.push(&mut out, Role::Faint, &remark);
        out.push('\n');
    }
    out
}

/// Returns the fields of an object in two columns. The name of a nested field is the path that `--transform` takes. Values
/// are neither cut nor wrapped: a new key is shown only once.
fn fields(object: &Value, palette: Palette) -> String {
    let mut leaves = Vec::new();
    collect(object, "", &mut leaves);
    let width = leaves.iter().map(|(path, _)| columns(path)).max();
    let width = width.unwrap_or(0).min(MAX_PATH_COLUMNS) + 2;
    let mut out = String::new();
    for (path, cell) in leaves {
        palette.push(&mut out, Role::Key, &path);
        let mut gap = width.saturating_sub(columns(&path)).max(2);
        for part in cell.text.split('\n') {
            out.push_str(&spaces(if part.is_empty() { 0 } else { gap }));
            gap = width;
            palette.push(&mut out, cell.role, part);
            out.push('\n');
        }
    }
    out
}

fn collect(value: &Value, path: &str, leaves: &mut Vec<(String, Cell)>) {
    let below = |name: &str| match path {
        "" => fit(&line(name), MAX_PATH_COLUMNS).into_owned(),
        path => format!("{path}.{}", fit(&line(name), MAX_PATH_COLUMNS)),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, item) in fields {
                let key = key.plain();
                match item {
                    Value::Text(text) if text.plain().contains('\n') => {
                        let text = lines(text.plain().trim_end_matches('\n')).into_owned();
                        let role = Role::Plain;
                        leaves.push((below(&key), Cell { role, text }));
                    }
                    Value::Object(_) | Value::List(_) => collect(item, &below(&key), leaves),
                    leaf => leaves.push((below(&key), Cell::of(&key, leaf))),
                }
            }
        }
        Value::List(items) if items.iter().any(|item| !item.is_leaf()) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &below(&index.to_string()), leaves);
            }
        }
        leaf => leaves.push((path.to_owned(), Cell::of("", leaf))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let shown = response(&Value::parse(text).unwrap(), 100, Palette { is_on: false });
        shown
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }

    #[test]
    fn an_object_is_shown_as_its_fields() {
        let text = r#"{"object":"account","id":"svc_1","created_at":1768478400,"role":null,"scopes":["a","b"],"none":[],"api_key":{"value":"sk-1","id":"key_1"},"parts":[{"n":1},{"n":2}],"pem":"-----\nab\u001b\n"}"#;
        let expected = "\
object         account
id             svc_1
created_at     2026-01-15 12:00
role           –
scopes         a, b
none           –
api_key.value  sk-1
api_key.id     key_1
parts.0.n      1
parts.1.n      2
pem            -----
               ab\\u001b
";
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn a_report_is_a_table_of_buckets() {
        let text = r#"{"object":"page","data":[{"object":"bucket","start_time":1768435200,"end_time":1768521600,"results":[
            {"object":"r","amount":{"value":0.06,"currency":"usd"},"line_item":null,"project_id":"proj_1"},
            {"object":"r","amount":{"value":12.5,"currency":"usd"},"line_item":null,"project_id":"proj_2"}]},
            {"object":"bucket","start_time":1768521600,"end_time":1768608000,"results":[]}],"has_more":true,"next_page":"page_2"}"#;
        let expected = "\
start_time          amount  project_id
2026-01-15 00:00  0.06 usd  proj_1
2026-01-15 00:00  12.5 usd  proj_2
2026-01-16 00:00         –  –
More: --page page_2
";
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn lists_are_tables_and_scalars_json() {
        assert_eq!(
            shown(r#"{"object":"list","data":[{"id":"a"}],"has_more":true,"last_id":"a"}"#),
            "id\na\nMore: --after a\n"
        );
        assert_eq!(shown(r#"[{"id":"a"}]"#), "id\na\n");
        assert_eq!(shown("[1,2]"), "[1, 2]\n");
        assert_eq!(shown(r#""a""#), "\"a\"\n");
        assert_eq!(shown("{}"), "{}\n");
    }
}
