//! Reading files of each format, as an import does.

mod parquet;

use std::io::{Cursor, Read};

use base::UnixTime;
use base::ids::{Id, OrganizationId};
use files::write::{TableWriter, Value};
use files::{FileError, Format, ReadPosition, RowReader};
use usage::{EventBounds, Metric, PriceBook, RetentionPeriods, UsageEvent, UsageKind};

const NOW: UnixTime = UnixTime(1_772_409_600);

/// The rows of a file: the number of each, and its event or refusal.
type Found = Vec<(u64, Result<UsageEvent, String>)>;

/// Reads all rows, a few at a time.
fn all(rows: &mut dyn RowReader) -> (Found, Option<FileError>) {
    let mut found = Vec::new();
    let organization = OrganizationId::from_text("org-a".to_owned());
    let prices = PriceBook::default();
    loop {
        let outcome = rows.read(3, &mut |row| {
            let bounds = EventBounds {
                prices: &prices,
                keep: RetentionPeriods::default(),
                is_import: true,
            };
            let event = row
                .event
                .and_then(|event| event.check(&organization, NOW, bounds));
            found.push((row.number, event.map_err(|refused| refused.error)));
        });
        match outcome {
            Ok(0) => return (found, None),
            Ok(_) => {}
            Err(error) => return (found, Some(error)),
        }
    }
}

fn text(format: Format, text: impl AsRef<[u8]> + Send + 'static) -> Box<dyn RowReader> {
    let size = u64::try_from(text.as_ref().len()).ok();
    files::stream(Box::new(Cursor::new(text)), format, size).expect("rows")
}

fn line(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","timestamp":1772400000,"type":"completions","project_id":"p","input_tokens":5,"output_tokens":1}}"#
    )
}

/// Returns the ids of the events, or the errors of the rows.
fn ids(found: &Found) -> Vec<(u64, &str)> {
    let shown = found.iter().map(|(number, event)| match event {
        Ok(event) => (*number, event.id.as_str()),
        Err(error) => (*number, error.as_str()),
    });
    shown.collect()
}

#[test]
fn a_line_of_json_is_an_event() {
    let lines = [
        line("a"),
        String::new(),
        "  ".to_owned(),
        line("b"),
        "{".to_owned(),
        line("c"),
    ];
    let content = lines.join("\r\n");
    let length = u64::try_from(content.len()).expect("a length");
    let mut rows = text(Format::Ndjson, content);
    let (found, failed) = all(rows.as_mut());
    assert!(failed.is_none());
    let refused = "EOF while parsing an object at line 1 column 1";
    assert_eq!(ids(&found), [(1, "a"), (4, "b"), (5, refused), (6, "c")]);
    assert_eq!(
        rows.position(),
        ReadPosition {
            done: length,
            of: Some(length)
        }
    );
}

#[test]
fn an_overlong_line_is_refused_and_the_next_one_read() {
    let mut content = line("a").into_bytes();
    content.push(b'\n');
    content.extend(std::iter::repeat_n(b'x', 5 << 20));
    content.extend(format!("\n{}\n\"\u{fc}", line("b")).bytes());
    content.pop();
    let (found, failed) = all(text(Format::Ndjson, content).as_mut());
    assert!(failed.is_none());
    let long = "the line is longer than 1048576 bytes";
    let no_text = "the line is not UTF-8";
    assert_eq!(ids(&found), [(1, "a"), (2, long), (3, "b"), (4, no_text)]);
}

#[test]
fn a_byte_order_mark_at_the_start_of_a_file_is_skipped() {
    let content = format!("\u{feff}{}\r\n\r\n{}\r\n", line("a"), line("b"));
    let (found, failed) = all(text(Format::Ndjson, content.clone()).as_mut());
    assert!(failed.is_none());
    assert_eq!(ids(&found), [(1, "a"), (3, "b")]);
    let mut rest = text(Format::Ndjson, content);
    rest.skip(1).expect("skipped");
    assert_eq!(ids(&all(rest.as_mut()).0), [(3, "b")]);
    let (found, _) = all(text(Format::Ndjson, "\u{feff}").as_mut());
    assert_eq!(ids(&found), []);
}

#[test]
fn a_row_of_csv_is_an_event_and_an_empty_cell_is_absent() {
    let content = "\u{feff}id, type,timestamp,project_id,model,input_tokens,output_tokens,batch,input_cached_tokens\n\
                   a,completions,1772400000,p,\"gpt, \"\"5\"\"\",1200.0,1,True,\n\
                   \"b\nb\",completions,1772400000,p,,1,1,,\n\
                   c,completions,1772400000,p\n\
                   d,completions,yesterday,p,,1,1,,\n\
                   e,completions,1772400000,p,,1.5,1,,\n\
                   ,completions,1772400000,p,,1,1,,\n\
                   f,embeddings,1772400000,p,,1,,,\n";
    let (found, failed) = all(text(Format::Csv, content).as_mut());
    assert!(failed.is_none(), "{failed:?}");
    let expected = [
        (2, "a"),
        (3, "id must have 1 to 128 bytes and no control characters"),
        (5, "the row has 4 cells, the first one 9"),
        (
            6,
            "timestamp: invalid type: string \"yesterday\", expected i64",
        ),
        (
            7,
            "input_tokens: invalid type: floating point `1.5`, expected i64",
        ),
        (8, "missing field `id`"),
        (9, "f"),
    ];
    assert_eq!(ids(&found), expected);
    let event = found[0].1.as_ref().expect("an event");
    assert_eq!(event.model.as_deref(), Some("gpt, \"5\""));
    assert!(event.batch && event.timestamp == UnixTime(1_772_400_000));
    assert_eq!(event.quantities.get(Metric::InputTokens), Some(1_200));
    assert_eq!(event.quantities.get(Metric::InputCachedTokens), None);
    let last = found[6].1.as_ref().expect("an event");
    assert_eq!(
        (last.kind, &last.model, last.batch),
        (UsageKind::Embeddings, &None, false)
    );
}

#[test]
fn an_unclosed_quote_takes_bounded_memory() {
    let content = "id,type,timestamp,project_id,images\na,images,1772400000,p,1\n\"b";
    let endless = Cursor::new(content).chain(std::io::repeat(b'\n'));
    let mut rows = files::stream(Box::new(endless), Format::Csv, None).expect("rows");
    let (found, failed) = all(rows.as_mut());
    assert_eq!(ids(&found), [(2, "a")]);
    let failed = failed.map(|error| error.to_string()).unwrap_or_default();
    assert!(failed.contains("is a quote never closed?"), "{failed}");
}

#[test]
fn unknown_columns_are_refused_before_any_row() {
    for (content, reason) in [
        ("", "the column \"id\" is missing"),
        (
            "id,type,timestamp\n",
            "the column \"project_id\" is missing",
        ),
        (
            "id;type\n",
            "the column \"id;type\" is none of an event's fields: id, timestamp, type, project_id,",
        ),
    ] {
        let opened = files::stream(Box::new(Cursor::new(content)), Format::Csv, None);
        let error = opened
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.starts_with(reason), "{error}");
    }
    let opened = files::stream(Box::new(Cursor::new("")), Format::Parquet, None);
    assert!(opened.is_err(), "Parquet is read from its end");
}

#[test]
fn skipping_passes_over_the_next_rows() {
    let lines: Vec<String> = (0..7).map(|number| line(&number.to_string())).collect();
    let header = "id,type,timestamp,project_id,images\n";
    let cells = |number| format!("{number},images,1772400000,p,1\n");
    let table: String = (0..7).map(cells).collect();
    for (format, content) in [
        (Format::Ndjson, lines.join("\n\n")),
        (Format::Csv, format!("{header}{table}")),
    ] {
        let mut rows = text(format, content.clone());
        rows.skip(4).expect("passed over");
        let (found, _) = all(rows.as_mut());
        let left: Vec<_> = ids(&found).into_iter().map(|(_, id)| id).collect();
        assert_eq!(left, ["4", "5", "6"], "{format:?}");
        let mut rows = text(format, content);
        rows.skip(100).expect("passed over");
        assert!(all(rows.as_mut()).0.is_empty());
    }
}

/// A written table is read by the import, without the apostrophes that guard texts.
#[test]
fn an_export_is_imported_unchanged() {
    let models = [
        " =cmd()",
        "＝cmd()",
        "＋1",
        "－1",
        "＠a",
        "=1",
        "+1",
        "-1",
        "@a",
        "'=1",
        "''=1",
        "' =1",
        "'a",
        "a=1",
        "\u{a0}=1",
        "\u{3000}＝1",
        "\u{200b}=1",
        "=\"a\",b",
    ];
    let names = [
        "id",
        "type",
        "timestamp",
        "project_id",
        "model",
        "input_tokens",
        "output_tokens",
    ];
    let columns = files::column::columns_named(names.into_iter()).expect("columns");
    let mut table = TableWriter::new(Format::Csv, columns).expect("a table");
    for (number, model) in models.iter().enumerate() {
        let id = number.to_string();
        let row = [
            Value::Text(&id),
            Value::Text("completions"),
            Value::Moment(UnixTime(1_772_400_000)),
            Value::Text("p"),
            Value::Text(model),
            Value::Integer(1),
            Value::Integer(1),
        ];
        table.push(row.into_iter());
    }
    let written = table.finish().expect("bytes");
    let (found, failed) = all(text(Format::Csv, written).as_mut());
    assert!(failed.is_none(), "{failed:?}");
    let read: Vec<_> = found
        .iter()
        .map(|(_, event)| event.as_ref().expect("an event").model.as_deref())
        .collect();
    assert_eq!(read, models.map(Some));
}
