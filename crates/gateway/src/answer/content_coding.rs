//! Content codings of answers. A model server may compress an answer although it was asked not to. The answer is decoded as it
//! comes, in pieces of bounded length, for the gateway and for the client, which need not know the coding.

use std::io;

use base::{Coding, MAX_ZSTD_WINDOW_LOG};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

/// The most bytes that are decoded at a time.
const MAX_PIECE_BYTES: usize = 64 * 1024;
/// The window of gzip (RFC 1951), as a power of two.
const GZIP_WINDOW_BITS: u8 = 15;

/// The content coding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerCoding {
    Identity,
    /// A coding that requests may have, too.
    Common(Coding),
    Brotli,
    /// An unknown coding, or several.
    Unknown,
}

impl AnswerCoding {
    /// Returns the coding that an answer declares.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Self::Identity,
            (Some(value), None) => value,
            (Some(_), Some(_)) => return Self::Unknown,
        };
        let name = value.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        match &*name {
            "" | "identity" => Self::Identity,
            "x-gzip" => Self::Common(Coding::Gzip),
            "br" => Self::Brotli,
            name => Coding::parse(name).map_or(Self::Unknown, Self::Common),
        }
    }

    /// Returns the most bytes of memory that a decoder takes.
    pub(crate) fn decoder_bytes(self) -> u64 {
        match self {
            Self::Identity | Self::Unknown => 0,
            Self::Common(Coding::Gzip | Coding::Deflate) => 64 * 1024,
            Self::Common(Coding::Zstd) => (1 << MAX_ZSTD_WINDOW_LOG) + 256 * 1024,
            Self::Brotli => (1 << 24) + 256 * 1024,
        }
    }
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A decoder of a compressed answer.
pub(crate) enum Decoder {
    /// Deflate before its first byte, which shows if there is a zlib header.
    UndecidedDeflate,
    Flate(Box<Decompress>),
    Brotli(Box<Brotli>),
    Zstd(Box<ZstdDecoder<'static>>),
    /// The end of the coded bytes; bytes after it are skipped.
    Ended,
}

/// The progress of a decoder.
#[derive(Default)]
struct DecoderStep {
    read: usize,
    written: usize,
    is_end: bool,
}

impl Decoder {
    /// Returns a decoder; `None` for identity and unknown codings.
    pub(crate) fn new(coding: AnswerCoding) -> Option<Self> {
        Some(match coding {
            AnswerCoding::Identity | AnswerCoding::Unknown => return None,
            AnswerCoding::Common(Coding::Gzip) => {
                Self::Flate(Box::new(Decompress::new_gzip(GZIP_WINDOW_BITS)))
            }
            AnswerCoding::Common(Coding::Deflate) => Self::UndecidedDeflate,
            AnswerCoding::Brotli => {
                let alloc = StandardAlloc::default;
                Self::Brotli(Box::new(Brotli::new(alloc(), alloc(), alloc())))
            }
            AnswerCoding::Common(Coding::Zstd) => {
                let mut decoder = ZstdDecoder::new().ok()?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(MAX_ZSTD_WINDOW_LOG))
                    .ok()?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    /// Decodes the next piece of `input`; `None` once all of it is decoded.
    ///
    /// # Errors
    /// The bytes are not in the coding.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> io::Result<Option<Bytes>> {
        let mut output = vec![0; MAX_PIECE_BYTES];
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

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<DecoderStep> {
        if let (Self::UndecidedDeflate, Some(first)) = (&*self, input.first()) {
            // RFC 9110 requires the zlib header, which some servers leave out.
            let has_header = first & 0x0F == 8 && first >> 4 <= 7;
            *self = Self::Flate(Box::new(Decompress::new(has_header)));
        }
        match self {
            Self::Ended => Ok(DecoderStep {
                read: input.len(),
                ..DecoderStep::default()
            }),
            Self::UndecidedDeflate => Ok(DecoderStep::default()),
            Self::Flate(decoder) => inflate(decoder, input, output),
            Self::Brotli(state) => decompress_brotli(state, input, output),
            Self::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output)?;
                Ok(DecoderStep {
                    read: status.bytes_read,
                    written: status.bytes_written,
                    is_end: false,
                })
            }
        }
    }
}

fn inflate(decoder: &mut Decompress, input: &[u8], output: &mut [u8]) -> io::Result<DecoderStep> {
    let (read, written) = (decoder.total_in(), decoder.total_out());
    let status = decoder.decompress(input, output, FlushDecompress::None)?;
    let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or_default();
    Ok(DecoderStep {
        read: count(decoder.total_in(), read),
        written: count(decoder.total_out(), written),
        is_end: status == Status::StreamEnd,
    })
}

fn decompress_brotli(
    state: &mut Brotli,
    input: &[u8],
    output: &mut [u8],
) -> io::Result<DecoderStep> {
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
        result => Ok(DecoderStep {
            read,
            written,
            is_end: matches!(result, BrotliResult::ResultSuccess),
        }),
    }
}
