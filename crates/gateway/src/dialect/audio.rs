//! `/v1/audio/transcriptions` and `/v1/audio/translations`.

use std::time::Duration;

use base::Result;
use usage::{Metric, UsageKind};

use super::{
    AnswerFormat, DEFAULT, Dialect, Estimate, Fields, MeasuredUsage, RequestFormat,
    UsageAccumulator,
};
use crate::document::Document;
use crate::sse::Verdict;

/// Speech to text, in the language that is spoken.
pub(super) static TRANSCRIPTIONS: Dialect = Dialect {
    path: "/audio/transcriptions",
    ..SPEECH_TO_TEXT
};

/// Speech to text, in English.
pub(super) static TRANSLATIONS: Dialect = Dialect {
    path: "/audio/translations",
    ..SPEECH_TO_TEXT
};

const SPEECH_TO_TEXT: Dialect = Dialect {
    kind: UsageKind::AudioTranscriptions,
    format: RequestFormat::Multipart,
    fields: &["model", "file", "stream"],
    estimate: estimate_transcription,
    answer: AnswerFormat::Text,
    read_document: read_transcription,
    read_event: read_transcription_event,
    measure: measure_transcription,
    ..DEFAULT
};

/// The usual bytes of a second of compressed speech.
const USUAL_SECOND_BYTES: usize = 16_000;
/// The fewest bytes of a second of compressed speech. No encoder of a format that servers take writes less; the lowest
/// rates are those of AMR (594), Opus (750) and MP3 (1,000).
const MIN_SECOND_BYTES: usize = 500;

fn estimate_transcription(fields: &Fields<'_>) -> Result<Estimate> {
    let seconds = fields.length("file").div_ceil(USUAL_SECOND_BYTES).max(1);
    let estimate = Estimate {
        units: i64::try_from(seconds).unwrap_or(i64::MAX),
        max_seconds: fields.get("file").map_or(0, max_seconds),
        ..Estimate::default()
    };
    Ok(estimate.with_audio(fields))
}

fn read_transcription_event(accumulator: &mut UsageAccumulator, event: &Document) -> Verdict {
    accumulator.is_done |= event.event_type.as_str() == "transcript.text.done";
    read_transcription(accumulator, event);
    Verdict::Keep
}

/// Reads usage in tokens or in seconds.
fn read_transcription(accumulator: &mut UsageAccumulator, document: &Document) {
    let reported = document.usage().and_then(|usage| usage.seconds);
    let seconds = reported.or(document.duration).and_then(round_up);
    accumulator.seconds = seconds.or(accumulator.seconds);
    accumulator.add_report(document);
}

/// Returns a duration in whole seconds, rounded up; `None` if it is negative, or longer than any recording.
fn round_up(seconds: f64) -> Option<i64> {
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    let begun = u64::from(time.subsec_nanos() > 0);
    let seconds = i64::try_from(time.as_secs().checked_add(begun)?).ok();
    seconds.filter(|seconds| *seconds <= Metric::Seconds.max_amount())
}

/// Measures the seconds or tokens that were reported, else the duration that the length of the file suggests.
fn measure_transcription(
    estimate: &Estimate,
    _: &str,
    accumulator: &UsageAccumulator,
) -> MeasuredUsage {
    let mut usage = MeasuredUsage::reported(accumulator);
    if let Some(seconds) = accumulator.seconds {
        usage.quantities.set(Metric::Seconds, seconds);
    } else if accumulator.reported.is_none() && !accumulator.is_failed {
        usage.estimate(Metric::Seconds, estimate.units);
    }
    usage
}

/// Returns the longest duration of an audio file, in seconds.
fn max_seconds(file: &[u8]) -> i64 {
    let second = wave_second_bytes(file).unwrap_or(MIN_SECOND_BYTES);
    i64::try_from(file.len().div_ceil(second)).unwrap_or(i64::MAX)
}

/// Returns the bytes of a second in a WAVE file whose samples are not compressed.
pub(super) fn wave_second_bytes(file: &[u8]) -> Option<usize> {
    /// The formats whose samples are plain integers, or floating-point numbers.
    const PCM: [u16; 2] = [1, 3];
    let (riff, rest) = file.split_at_checked(8)?;
    let format = rest.strip_prefix(b"WAVEfmt ")?.get(4..)?;
    let short = |at: usize| Some(u16::from_le_bytes(format.get(at..at + 2)?.try_into().ok()?));
    let (encoding, channels, bits) = (short(0)?, short(2)?, short(14)?);
    let rate = u32::from_le_bytes(format.get(4..8)?.try_into().ok()?);
    let sample = usize::from(channels) * usize::from(bits / 8);
    let second = usize::try_from(rate).ok()?.checked_mul(sample)?;
    let is_plain = riff.starts_with(b"RIFF") && PCM.contains(&encoding);
    (is_plain && second > 0).then_some(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(format: u16, channels: u16, rate: u32, bits: u16, length: usize) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        file.extend(format.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        // The byte rate and the block alignment follow from the others, and are not read.
        file.extend([0xff; 6]);
        file.extend(bits.to_le_bytes());
        file.resize(length, 0);
        file
    }

    #[test]
    fn wave_file_is_as_long_as_its_header_says_and_others_are_bounded_by_their_length() {
        for (file, seconds) in [
            (wave(1, 1, 16_000, 16, 320_000), 10),
            (wave(3, 2, 1, 32, 320_000), 40_000),
            (wave(1, 0, 16_000, 16, 5_000), 10),
            (wave(85, 1, 16_000, 16, 5_000), 10),
            (vec![0; 5_001], 11),
            (b"RIFF".to_vec(), 1),
            (Vec::new(), 0),
        ] {
            assert_eq!(max_seconds(&file), seconds, "{} bytes", file.len());
        }
    }
}
