//! Arbitrary bytes are a block of sums or an error, and the rows of a block survive being encoded again.
#![no_main]

use rollup::Rows;

/// The bound of buckets up to which the difference of two can be encoded.
const MAX_BUCKET: i64 = 1 << 61;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut rows = Rows::default();
    let is_block = rows.push_block(data).is_ok();
    let is_bounded = rows
        .iter()
        .all(|((_, bucket), _)| (-MAX_BUCKET..MAX_BUCKET).contains(&bucket));
    if is_block && is_bounded && !rows.is_empty() {
        let mut again = Rows::default();
        again.push_block(&rows.block(1)).expect("a block");
        assert!(rows.summed().iter().eq(again.iter()));
    }
});
