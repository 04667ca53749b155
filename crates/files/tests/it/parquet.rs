//! Parquet files of the library that reads them. Files of other libraries are read in the tests of the server.

use std::sync::Arc;

use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use base::UnixTime;
use files::{Format, ReadPosition};
use tempfile::NamedTempFile;
use usage::Metric;

use super::{all, ids};

const FOUR: &str = "required binary id (UTF8); required int64 timestamp; required binary type (UTF8); \
                    required binary project_id (UTF8);";

type Group<'a> = SerializedRowGroupWriter<'a, std::fs::File>;

/// Returns a file with these columns and this number of row groups, each written by `write`.
fn file(columns: &str, groups: usize, write: impl Fn(usize, &mut Group<'_>)) -> NamedTempFile {
    let file = NamedTempFile::with_suffix(".parquet").expect("a file");
    let schema = parse_message_type(&format!("message events {{ {columns} }}")).expect("a schema");
    let inner = file.reopen().expect("the file");
    let properties = Arc::new(WriterProperties::default());
    let mut writer =
        SerializedFileWriter::new(inner, Arc::new(schema), properties).expect("a writer");
    for group in 0..groups {
        let mut rows = writer.next_row_group().expect("a row group");
        write(group, &mut rows);
        rows.close().expect("written");
    }
    writer.close().expect("written");
    file
}

fn column<T: DataType>(group: &mut Group<'_>, values: &[T::T], levels: Option<&[i16]>) {
    let mut column = group.next_column().expect("a writer").expect("a column");
    let typed = column.typed::<T>();
    typed.write_batch(values, levels, None).expect("written");
    column.close().expect("written");
}

fn texts(group: &mut Group<'_>, values: &[&str]) {
    let values: Vec<ByteArray> = values.iter().map(|text| ByteArray::from(*text)).collect();
    column::<ByteArrayType>(group, &values, None);
}

/// Writes the four required columns of five rows.
fn four(group: &mut Group<'_>, number: usize) {
    let ids: Vec<String> = (0..5).map(|row| format!("{number}-{row}")).collect();
    texts(group, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    column::<Int64Type>(group, &[1_772_400_000; 5], None);
    texts(group, &["completions"; 5]);
    texts(group, &["p"; 5]);
}

#[test]
fn a_row_of_parquet_is_an_event_and_null_is_absent() {
    let columns = format!(
        "{FOUR} optional boolean batch; optional int32 input_tokens; optional double output_tokens; optional binary model;"
    );
    let file = file(&columns, 1, |number, group| {
        four(group, number);
        column::<BoolType>(group, &[true, false], Some(&[1, 0, 1, 0, 0]));
        column::<Int32Type>(group, &[3; 5], Some(&[1; 5]));
        column::<DoubleType>(group, &[7.0, f64::NAN, 1.5, 2.0], Some(&[1, 1, 1, 0, 1]));
        let models = ["m", "\u{fc}"].map(ByteArray::from).into_iter();
        let models: Vec<_> = models.chain([ByteArray::from(vec![0xff])]).collect();
        column::<ByteArrayType>(group, &models, Some(&[1, 0, 0, 1, 1]));
    });
    let mut rows = files::open(file.path(), Format::Parquet).expect("rows");
    let (found, failed) = all(rows.as_mut());
    assert!(failed.is_none(), "{failed:?}");
    let missing = "output_tokens is required for completions";
    let expected = [
        (1, "0-0"),
        (2, missing),
        (
            3,
            "output_tokens: invalid type: floating point `1.5`, expected i64",
        ),
        (4, missing),
        (5, "model: invalid value: byte array, expected a string"),
    ];
    assert_eq!(ids(&found), expected);
    let event = found[0].1.as_ref().expect("an event");
    assert!(event.batch && event.model.as_deref() == Some("m"));
    assert_eq!(event.quantities.get(Metric::InputTokens), Some(3));
    assert_eq!(event.quantities.get(Metric::OutputTokens), Some(7));
}

#[test]
fn row_groups_are_read_in_order_and_skipped() {
    let columns = format!("{FOUR} required int64 input_tokens; required int64 output_tokens;");
    let file = file(&columns, 4, |number, group| {
        four(group, number);
        column::<Int64Type>(group, &[3; 5], None);
        column::<Int64Type>(group, &[4; 5], None);
    });
    for skipped in [0, 3, 5, 12, 19, 20, 100] {
        let mut rows = files::open(file.path(), Format::Parquet).expect("rows");
        rows.skip(skipped).expect("passed over");
        let (found, failed) = all(rows.as_mut());
        assert!(failed.is_none());
        let expected: Vec<_> = (skipped..20)
            .map(|row| (row + 1, format!("{}-{}", row / 5, row % 5)))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(row, id)| (*row, id.as_str()))
            .collect();
        assert_eq!(ids(&found), expected, "{skipped}");
        assert_eq!(
            rows.position(),
            ReadPosition {
                done: 20,
                of: Some(20)
            }
        );
    }
}

#[test]
fn a_time_may_be_of_the_type_timestamp() {
    for (unit, per_second) in [
        ("MILLIS", 1_000),
        ("MICROS", 1_000_000),
        ("NANOS", 1_000_000_000),
    ] {
        let columns = format!(
            "required int64 timestamp (TIMESTAMP({unit},true)); required binary id (UTF8); \
             required binary type (UTF8); required binary project_id (UTF8); required int64 images;"
        );
        let file = file(&columns, 1, |_, group| {
            column::<Int64Type>(group, &[1_772_400_000 * per_second + per_second - 1], None);
            texts(group, &["a"]);
            texts(group, &["images"]);
            texts(group, &["p"]);
            column::<Int64Type>(group, &[1], None);
        });
        let mut rows = files::open(file.path(), Format::Parquet).expect("rows");
        let (found, _) = all(rows.as_mut());
        let event = found[0].1.as_ref().expect("an event");
        assert_eq!(event.timestamp, UnixTime(1_772_400_000), "{unit}");
    }
}

#[test]
fn columns_of_other_types_are_refused_before_any_row() {
    let without_time = FOUR.replace("required int64 timestamp; ", "");
    let cases = [
        (
            format!("{FOUR} required binary images (UTF8);"),
            "\"images\" is BYTE_ARRAY, and must be whole numbers",
        ),
        (
            format!("{FOUR} required int32 images (DATE);"),
            "must be whole numbers",
        ),
        (
            format!("{FOUR} required int64 images (DECIMAL(9,2));"),
            "must be whole numbers",
        ),
        (
            format!("{FOUR} required int64 images (TIMESTAMP(MILLIS,true));"),
            "must be whole numbers",
        ),
        (
            format!("{FOUR} required int32 batch;"),
            "must be true or false",
        ),
        (format!("{FOUR} required int64 model;"), "must be text"),
        (
            format!("{without_time} required int96 timestamp;"),
            "\"timestamp\" is INT96, and must be seconds since 1970",
        ),
        (
            format!("{FOUR} repeated int64 images;"),
            "must be whole numbers",
        ),
        (
            format!("{FOUR} required group images {{ required int64 a; required int64 b; }}"),
            "a column has columns",
        ),
        (without_time, "the column \"timestamp\" is missing"),
        (
            format!("{FOUR} optional int64 other;"),
            "the column \"other\" is none of an event's fields",
        ),
    ];
    for (columns, reason) in cases {
        let file = file(&columns, 0, |_, _| {});
        let error = files::open(file.path(), Format::Parquet).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(reason), "{columns}: {error}");
    }
}

#[test]
fn a_damaged_file_is_an_error() {
    let columns = format!("{FOUR} required int64 images;");
    let file = file(&columns, 1, |number, group| {
        four(group, number);
        column::<Int64Type>(group, &[1; 5], None);
    });
    let whole = std::fs::read(file.path()).expect("the file");
    std::fs::write(file.path(), &whole[..whole.len() - 20]).expect("written");
    assert!(files::open(file.path(), Format::Parquet).is_err());
    let mut flipped = whole;
    for byte in &mut flipped[4..60] {
        *byte ^= 0x55;
    }
    std::fs::write(file.path(), flipped).expect("written");
    let mut rows = files::open(file.path(), Format::Parquet).expect("its end is whole");
    assert!(all(rows.as_mut()).1.is_some());
}
