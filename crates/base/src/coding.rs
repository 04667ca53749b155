//! Content codings of request bodies. The decoders bound both their output and their memory.

use std::io::{self, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::{Error, Result, names};

/// Binary logarithm of the largest zstd window: 8 MiB, the maximum of RFC 9659.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// Size of the decoder's output buffer.
const CHUNK_BYTES: usize = 32 * 1024;

/// A content coding that is accepted in request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950 (zlib), or bare RFC 1951, which some clients send under this name.
    Deflate,
    /// RFC 8878.
    Zstd,
}

names! { Coding {
    Gzip = "gzip",
    Deflate = "deflate",
    Zstd = "zstd",
}}

impl Coding {
    /// Returns the coding that the request headers name; `None` for an uncoded body.
    ///
    /// # Errors
    /// 415 for an unsupported coding, or for several.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut coding = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            let refused = |_| Error::unsupported_coding("that is no text");
            let names = value.to_str().map_err(refused)?.split(',').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                let name = name.to_ascii_lowercase();
                let one = match &*name {
                    "identity" => continue,
                    "x-gzip" => Some(Self::Gzip),
                    name => Self::parse(name),
                };
                let one = one.ok_or_else(|| Error::unsupported_coding(&name))?;
                if coding.replace(one).is_some() {
                    return Err(Error::unsupported_coding("several, one after the other"));
                }
            }
        }
        Ok(coding)
    }

    /// Decodes `encoded`. Before each allocation, `grow` is called with the new capacity of the result in bytes; the decoder
    /// itself needs at most about 8 MiB.
    ///
    /// # Errors
    /// 413 if the result exceeds `limit` bytes, 400 if `encoded` is damaged or of another coding, and the errors of `grow`.
    pub fn decode(
        self,
        encoded: &[u8],
        limit: usize,
        mut grow: impl FnMut(usize) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let mut decoder = self
            .decoder(encoded)
            .map_err(|error| self.damaged(&error))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut decoded = Vec::new();
        loop {
            let length = match decoder.read(&mut chunk) {
                Ok(0) => return Ok(decoded),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.damaged(&error)),
            };
            let whole = decoded.len() + length;
            if whole > limit {
                return Err(Error::too_large(limit));
            }
            if whole > decoded.capacity() {
                let room = (decoded.capacity() * 2).clamp(whole, limit.max(whole));
                grow(room)?;
                decoded.reserve_exact(room - decoded.len());
            }
            decoded.extend_from_slice(&chunk[..length]);
        }
    }

    fn decoder(self, encoded: &[u8]) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(encoded)),
            Self::Deflate => Box::new(Inflate::new(encoded)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(encoded)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }

    fn damaged(self, error: &io::Error) -> Error {
        let name = self.as_str();
        let message = format!(
            "The request body cannot be decoded: its Content-Encoding is {name}, but the body is something else, or damaged \
             ({error})."
        );
        Error::refused("invalid_content_encoding", message)
    }
}

/// A decoder of [`Coding::Deflate`] that rejects bytes after the end and input without an end.
struct Inflate<'a> {
    state: Decompress,
    rest: &'a [u8],
    is_ended: bool,
}

impl<'a> Inflate<'a> {
    fn new(encoded: &'a [u8]) -> Self {
        Self {
            state: Decompress::new(has_zlib_header(encoded)),
            rest: encoded,
            is_ended: false,
        }
    }
}

/// Returns true if the bytes begin with a header of RFC 1950: the compression method, then a checksum of two bytes.
fn has_zlib_header(encoded: &[u8]) -> bool {
    let [first, second, ..] = *encoded else {
        return true;
    };
    first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31)
}

impl Read for Inflate<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_ended {
            return Ok(0);
        }
        let (read, written) = (self.state.total_in(), self.state.total_out());
        let flush = FlushDecompress::None;
        let status = self.state.decompress(self.rest, into, flush)?;
        let read = usize::try_from(self.state.total_in() - read).unwrap_or(usize::MAX);
        let written = usize::try_from(self.state.total_out() - written).unwrap_or(usize::MAX);
        self.rest = self.rest.get(read..).unwrap_or_default();
        if status == Status::StreamEnd {
            self.is_ended = true;
            if !self.rest.is_empty() {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "bytes after the end",
                ));
            }
        } else if written == 0 {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "it ends too early",
            ));
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    fn encodings(text: &[u8]) -> Vec<(Coding, Vec<u8>)> {
        let level = Compression::default();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        gzip.write_all(text).expect("written");
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(text).expect("written");
        let mut raw = DeflateEncoder::new(Vec::new(), level);
        raw.write_all(text).expect("written");
        vec![
            (Coding::Gzip, gzip.finish().expect("gzip")),
            (Coding::Deflate, zlib.finish().expect("zlib")),
            (Coding::Deflate, raw.finish().expect("deflate")),
            (
                Coding::Zstd,
                zstd::stream::encode_all(text, 3).expect("zstd"),
            ),
        ]
    }

    fn decode(coding: Coding, encoded: &[u8], limit: usize) -> Result<Vec<u8>> {
        coding.decode(encoded, limit, |_| Ok(()))
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * at % 251) as u8).collect()
    }

    #[test]
    fn a_compressed_body_is_decoded_and_bounded() {
        for length in [0, 1, 1_000, 300_000] {
            let text = text(length);
            for (coding, encoded) in encodings(&text) {
                let mut charged = 0;
                let decoded = coding.decode(&encoded, length, |room| {
                    assert!(room > charged && room <= length, "{room}");
                    charged = room;
                    Ok(())
                });
                assert_eq!(decoded.expect("decoded"), text, "{coding:?} {length}");
                assert!(charged >= length);
                if length > 0 {
                    let refused = decode(coding, &encoded, length - 1).expect_err("too long");
                    assert_eq!(refused.status, 413, "{coding:?} {length}");
                }
            }
        }
    }

    #[test]
    fn an_error_of_grow_ends_decoding() {
        for (coding, encoded) in encodings(&text(10)) {
            let refused = coding.decode(&encoded, 10, |_| Err(Error::overloaded("Full.", 1)));
            assert_eq!(refused.expect_err("no room").status, 503);
        }
    }

    #[test]
    fn a_damaged_body_is_refused() {
        for (coding, encoded) in encodings(&text(1_000)) {
            let cut = &encoded[..encoded.len() - 1];
            let longer = [&encoded[..], b"x"].concat();
            for bad in [cut, &longer, &encoded[..5], b"{}", &[0xff; 40]] {
                let refused = decode(coding, bad, 10_000).expect_err("damaged");
                assert_eq!(refused.status, 400, "{coding:?}");
                assert!(
                    refused.message.contains(coding.as_str()),
                    "{}",
                    refused.message
                );
            }
        }
    }

    #[test]
    fn members_of_a_compressed_body_are_concatenated() {
        for (coding, encoded) in encodings(b"ab") {
            if coding != Coding::Deflate {
                let twice = [&encoded[..], &encoded].concat();
                assert_eq!(decode(coding, &twice, 4).expect("decoded"), b"abab");
            }
        }
    }

    #[test]
    fn a_zstd_window_beyond_8_mebibytes_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(27).expect("a window");
        encoder.write_all(b"text").expect("written");
        let encoded = encoder.finish().expect("zstd");
        let refused = decode(Coding::Zstd, &encoded, 100).expect_err("a large window");
        assert_eq!(refused.status, 400);
    }

    #[test]
    fn the_coding_is_read_from_the_headers() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            Coding::of(&headers).map_err(|error| error.status.as_u16())
        };
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&["identity"], Ok(None)),
            (&["GZIP"], Ok(Some(Coding::Gzip))),
            (&["x-gzip"], Ok(Some(Coding::Gzip))),
            (&["identity, zstd"], Ok(Some(Coding::Zstd))),
            (&["identity", "deflate"], Ok(Some(Coding::Deflate))),
            (&["gzip, gzip"], Err(415)),
            (&["gzip", "zstd"], Err(415)),
            (&["br"], Err(415)),
            (&["aws-chunked"], Err(415)),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }
}
