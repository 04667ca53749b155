//! Encoders of the content codings of answers.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

/// Encodes `plain`.
pub(super) fn encode(encoding: &str, plain: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new(), Compression::fast());
            encoder.write_all(plain).expect("memory");
            encoder.finish().expect("memory")
        }};
    }
    match encoding {
        "gzip" => with!(GzEncoder),
        "deflate" if plain.len().is_multiple_of(2) => with!(ZlibEncoder),
        "deflate" => with!(DeflateEncoder),
        "br" => brotli(plain),
        "zstd" => zstd::encode_all(plain, 1).expect("memory"),
        _ => plain.to_vec(),
    }
}

/// Encodes `text` as Brotli, in uncompressed blocks.
fn brotli(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    for (index, part) in text.chunks(1 << 16).enumerate() {
        let length = part.len() as u64 - 1;
        // The header of a block: not the last, four nibbles of length, uncompressed. The first has a bit for the window before it.
        let head = ((length << 3) | (1 << 19)) << u32::from(index == 0);
        coded.extend_from_slice(&head.to_le_bytes()[..3]);
        coded.extend_from_slice(part);
    }
    // The last block is empty.
    coded.push(if text.is_empty() { 6 } else { 3 });
    coded
}
