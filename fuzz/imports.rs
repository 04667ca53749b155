//! Arbitrary bytes are a file of usage events or an error, in each format, and reading ends. The first byte selects the
//! format.
#![no_main]

use std::io::Cursor;

use files::{Format, RowReader};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let stream = |format| files::stream(Box::new(Cursor::new(data.to_vec())), format, None);
    let opened = match first % 3 {
        0 => stream(Format::Ndjson),
        1 => stream(Format::Csv),
        _ => {
            let name = format!("orgplane-fuzz-{}.parquet", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, data).expect("a file");
            files::open(&path, Format::Parquet)
        }
    };
    if let Ok(reader) = opened {
        read_to_end(reader);
    }
});

/// Reads a file until its end or its first error. Each portion has rows, so there are fewer portions than bytes.
fn read_to_end(mut reader: Box<dyn RowReader>) {
    while let Ok(rows) = reader.read(100, &mut |_| {})
        && rows > 0
    {}
}
