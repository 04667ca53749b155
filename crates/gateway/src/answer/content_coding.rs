//! Answers that a model server has compressed although it was asked not to: they are decoded as they come, in pieces of bounded
//! length, for what they tell and for the client, which need not know the encoding.

use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

/// The most bytes that are decoded at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// The window of zstd that every decoder must have room for (RFC 9659), as a power of two; a larger one is refused.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The largest window bits of gzip.
const GZIP_WINDOW_BITS: u8 = 15;

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
    /// An encoding that is not known, or several.
    Unknown,
}

impl Encoding {
    /// Returns the encoding that an answer declares.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            let is_declared = headers.contains_key(CONTENT_ENCODING);
            return if is_declared {
                Self::Unknown
            } else {
                Self::Identity
            };
        };
        let word = value.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        match &*word {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => Self::Unknown,
        }
    }

    /// Returns the most memory that decoding it takes, in bytes.
    pub(crate) fn memory(self) -> u64 {
        match self {
            Self::Identity | Self::Unknown => 0,
            Self::Gzip | Self::Deflate => 64 * 1024,
            Self::Zstd => (1 << ZSTD_WINDOW_LOG) + 256 * 1024,
            Self::Brotli => (1 << 24) + 256 * 1024,
        }
    }
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A decoder of a compressed answer.
pub(crate) enum Decoder {
    /// Deflated, and nothing has come of it: with the first byte it shows whether there is a header.
    Deflated,
    Flate(Box<Decompress>),
    Brotli(Box<Brotli>),
    Zstd(Box<ZstdDecoder<'static>>),
    /// All of it has come; what follows is passed over.
    Ended,
}

/// The progress of a decoder.
struct Step {
    read: usize,
    written: usize,
    is_end: bool,
}

impl Decoder {
    /// Returns a decoder; `None` where there is nothing to decode, or no way to.
    pub(crate) fn new(encoding: Encoding) -> Option<Self> {
        Some(match encoding {
            Encoding::Identity | Encoding::Unknown => return None,
            Encoding::Gzip => Self::Flate(Box::new(Decompress::new_gzip(GZIP_WINDOW_BITS))),
            Encoding::Deflate => Self::Deflated,
            Encoding::Brotli => {
                let alloc = StandardAlloc::default;
                Self::Brotli(Box::new(Brotli::new(alloc(), alloc(), alloc())))
            }
            Encoding::Zstd => {
                let mut decoder = ZstdDecoder::new().ok()?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .ok()?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    /// Decodes the next piece of `input`; `None` once all of it is decoded.
    ///
    /// # Errors
    /// It is not encoded so.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> io::Result<Option<Bytes>> {
        let mut output = vec![0; PIECE_BYTES];
        loop {
            let step = self.step(input, &mut output)?;
            input.advance(step.read);
            if step.is_end {
                *self = Self::Ended;
            }
            if step.written > 0 {
                output.truncate(step.written);
                return Ok(Some(output.into()));
            }
            if step.read == 0 {
                return Ok(None);
            }
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        if let (Self::Deflated, Some(first)) = (&*self, input.first()) {
            // RFC 9110 wants the header of zlib; some servers leave it out.
            let has_header = first & 0x0F == 8 && first >> 4 <= 7;
            *self = Self::Flate(Box::new(Decompress::new(has_header)));
        }
        match self {
            Self::Ended => Ok(Step {
                read: input.len(),
                written: 0,
                is_end: true,
            }),
            Self::Deflated => Ok(Step {
                read: 0,
                written: 0,
                is_end: false,
            }),
            Self::Flate(decoder) => inflate(decoder, input, output),
            Self::Brotli(state) => unbrotli(state, input, output),
            Self::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output)?;
                Ok(Step {
                    read: status.bytes_read,
                    written: status.bytes_written,
                    is_end: false,
                })
            }
        }
    }
}

fn inflate(decoder: &mut Decompress, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
    let (read, written) = (decoder.total_in(), decoder.total_out());
    let status = decoder.decompress(input, output, FlushDecompress::None)?;
    let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or_default();
    Ok(Step {
        read: count(decoder.total_in(), read),
        written: count(decoder.total_out(), written),
        is_end: status == Status::StreamEnd,
    })
}

fn unbrotli(state: &mut Brotli, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
    let (mut left, mut read) = (input.len(), 0);
    let (mut room, mut written, mut total) = (output.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left,
        &mut read,
        input,
        &mut room,
        &mut written,
        output,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => Err(io::ErrorKind::InvalidData.into()),
        result => Ok(Step {
            read,
            written,
            is_end: matches!(result, BrotliResult::ResultSuccess),
        }),
    }
}
