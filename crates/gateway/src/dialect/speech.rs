//! `/v1/audio/speech`. The audio passes unread, except for its beginning, which tells how long it is.

use base::Result;
use bodies::{BodyContents, Content};
use usage::{Metric, UsageKind};

use super::audio::wave_second_bytes;
use super::{AnswerFormat, DEFAULT, Dialect, Estimate, Fields, MeasuredUsage, UsageAccumulator};
use crate::document::{Document, SpeechAudio};
use crate::sse::Verdict;

/// Text to speech. The characters of the request count; the tokens as well, if the model is sold by the token.
pub(super) static SPEECH: Dialect = Dialect {
    path: "/audio/speech",
    kind: UsageKind::AudioSpeeches,
    holds: BodyContents {
        request: Content::Text,
        answer: Content::Media,
    },
    fields: &[
        "model",
        "input",
        "response_format",
        "speed",
        "stream_format",
    ],
    answer: AnswerFormat::Audio,
    estimate,
    read_event,
    measure,
    ..DEFAULT
};

/// The tokens of a second of speech, rounded up. `gpt-4o-mini-tts` is sold at 0.00025 dollars a second, which is 12 dollars
/// per million tokens at 20.83 tokens a second.
const TOKENS_PER_SECOND: f64 = 21.0;
/// The usual bytes of text that are spoken in a second: 140 words a minute of six bytes, or as many syllables of three.
const SPOKEN_BYTES_PER_SECOND: f64 = 14.0;
/// The shortest audio that is reserved, in seconds.
const MIN_RESERVED_SECONDS: f64 = 10.0;
/// The lowest speed; a request for a lower one counts as one for this.
const MIN_SPEED: f64 = 0.01;
/// The lowest speed that the hosted service takes, which counts where `speed` is no number.
const MIN_HOSTED_SPEED: f64 = 0.25;
/// The bytes of a second of audio without a header: 24,000 samples of 16 bits.
const PCM_SECOND_BYTES: f64 = 48_000.0;

/// The speech that a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpeechEstimate {
    /// The tokens of the audio if the text is spoken as usual.
    usual_tokens: i64,
    /// The most tokens of the audio. A second is reserved for each byte of text at the speed that is asked for, 14 times the
    /// usual: no voice needs as long for a letter, nor four seconds for a symbol, which has four bytes.
    pub(super) max_tokens: i64,
    /// True if the audio has no header.
    is_pcm: bool,
    /// True if the model is sold by the token, so that tokens that are not reported are estimated.
    pub(crate) has_tokens: bool,
}

impl SpeechEstimate {
    fn of(fields: &Fields<'_>, text: &str) -> Result<Self> {
        let speed = fields.get("speed").map_or(1.0, speed);
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let seconds = |bytes_per_second: f64| f64::from(bytes) / bytes_per_second / speed;
        Ok(Self {
            usual_tokens: tokens(seconds(SPOKEN_BYTES_PER_SECOND)),
            max_tokens: tokens(seconds(1.0).max(MIN_RESERVED_SECONDS)),
            is_pcm: fields.text("response_format")?.as_deref() == Some("pcm"),
            has_tokens: false,
        })
    }

    /// Returns the tokens of audio whose usage was not reported: by its duration if its format tells that, else those of the
    /// text. They are never more than was reserved.
    fn audio_tokens(&self, audio: &SpeechAudio) -> i64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let length = audio.length as f64;
        let second = match self.is_pcm {
            true => Some(PCM_SECOND_BYTES),
            false => second_bytes(&audio.head),
        };
        let second = second.filter(|_| audio.length > 0);
        let of_audio = second.map(|second| tokens(length / second));
        of_audio.unwrap_or(self.usual_tokens).min(self.max_tokens)
    }
}

/// Returns the speed that a request asks for, at most the usual one: a server may ignore a higher one.
fn speed(field: &[u8]) -> f64 {
    if field == b"null" {
        return 1.0;
    }
    let text = std::str::from_utf8(field).unwrap_or_default();
    let number: Option<f64> = text.trim_matches(['"', ' ']).parse().ok();
    let number = number.filter(|speed| speed.is_finite());
    number.map_or(MIN_HOSTED_SPEED, |speed| speed.clamp(MIN_SPEED, 1.0))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, which is more than anything costs"
)]
fn tokens(seconds: f64) -> i64 {
    (seconds * TOKENS_PER_SECOND).ceil() as i64
}

/// Returns the bytes of a second of audio with this beginning; `None` if its format does not tell.
fn second_bytes(head: &[u8]) -> Option<f64> {
    let wave = wave_second_bytes(head).and_then(|bytes| u32::try_from(bytes).ok());
    wave.map(f64::from).or_else(|| mp3_second_bytes(head))
}

/// Returns the bytes of a second of MP3, by the bit rate of its first frame.
fn mp3_second_bytes(head: &[u8]) -> Option<f64> {
    /// The bit rates of MPEG 1 Layer III in kbit/s.
    const RATES_OF_MPEG_1: [u16; 14] = [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ];
    /// The bit rates of MPEG 2 and 2.5 Layer III in kbit/s.
    const RATES_OF_MPEG_2: [u16; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    /// The bytes of a kilobit.
    const KILOBIT_BYTES: f64 = 125.0;
    let &[0xff, version, rate, ..] = head.get(id3_bytes(head)..)? else {
        return None;
    };
    // Eleven bits are set, then come two of the version and two of the layer.
    let rates = match (version >> 5, version >> 3 & 0b11, version >> 1 & 0b11) {
        (0b111, 0b11, 0b01) => RATES_OF_MPEG_1,
        (0b111, 0b10 | 0b00, 0b01) => RATES_OF_MPEG_2,
        _ => return None,
    };
    let index = usize::from(rate >> 4).checked_sub(1)?;
    rates
        .get(index)
        .map(|rate| f64::from(*rate) * KILOBIT_BYTES)
}

/// Returns the length of the ID3 tag before the first frame.
fn id3_bytes(head: &[u8]) -> usize {
    /// The length of the header of a tag.
    const HEADER_BYTES: usize = 10;
    match head.get(..HEADER_BYTES) {
        Some(header) if header.starts_with(b"ID3") => {
            // Seven bits of each byte count.
            let size = header[6..].iter();
            HEADER_BYTES + size.fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f))
        }
        _ => 0,
    }
}

fn estimate(fields: &Fields<'_>) -> Result<Estimate> {
    let text = fields.text("input")?.unwrap_or_default();
    Ok(Estimate {
        units: i64::try_from(text.chars().count()).unwrap_or(i64::MAX),
        speech: SpeechEstimate::of(fields, &text)?,
        ..Estimate::default()
    })
}

/// Reads an event of streamed audio. The last one reports the usage; none of them is text.
fn read_event(accumulator: &mut UsageAccumulator, event: &Document) -> Verdict {
    accumulator.is_done |= event.event_type.as_str() == "speech.audio.done";
    accumulator.add_report(event);
    accumulator.text.truncate(0);
    Verdict::Keep
}

/// Measures the characters of the request, and the tokens as they were reported, or else estimated if they are charged.
fn measure(estimate: &Estimate, model: &str, accumulator: &UsageAccumulator) -> MeasuredUsage {
    let mut usage = MeasuredUsage::reported(accumulator);
    if accumulator.is_failed {
        return usage;
    }
    usage.quantities.set(Metric::Characters, estimate.units);
    if !estimate.speech.has_tokens {
        return usage;
    }
    if accumulator.amount(Metric::InputTokens).is_none() {
        usage.estimate(Metric::InputTokens, estimate.input.tokens(model));
    }
    if accumulator.amount(Metric::OutputTokens).is_none() {
        let tokens = estimate.speech.audio_tokens(&accumulator.audio);
        usage.estimate(Metric::OutputTokens, tokens);
        usage.quantities.set(Metric::OutputAudioTokens, tokens);
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(body: &str) -> SpeechEstimate {
        let fields = Fields::of_json(body.as_bytes(), SPEECH.fields).expect(body);
        estimate(&fields).expect(body).speech
    }

    #[test]
    fn a_second_is_reserved_for_each_byte_of_text_at_the_speed_that_is_asked_for() {
        let hundred = "x".repeat(100);
        // At least ten seconds: 10 × 21. Then 100 × 21, and four times as much at a quarter of the speed.
        for (more, text, tokens) in [
            ("", "", 210),
            ("", "1234567890", 210),
            ("", "12345678901", 231),
            ("", "\u{1f602}\u{1f602}\u{1f602}", 252),
            ("", &*hundred, 2_100),
            (r#","speed":1.0"#, &hundred, 2_100),
            (r#","speed":null"#, &hundred, 2_100),
            (r#","speed":4"#, &hundred, 2_100),
            (r#","speed":0.25"#, &hundred, 8_400),
            (r#","speed":"0.5""#, &hundred, 4_200),
            (r#","speed":true"#, &hundred, 8_400),
            (r#","speed":0"#, &hundred, 210_000),
        ] {
            let found = speech(&format!(r#"{{"input":"{text}"{more}}}"#)).max_tokens;
            assert_eq!(found, tokens, "{text} {more}");
        }
    }

    #[test]
    fn audio_is_as_long_as_its_format_says_else_as_its_text_is_spoken() {
        let tokens = |format: &str, head: &[u8], length| {
            let text = "x".repeat(140);
            let body = format!(r#"{{"input":"{text}","response_format":"{format}"}}"#);
            let head = head.to_vec();
            speech(&body).audio_tokens(&SpeechAudio { head, length })
        };
        let mut wave = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wave.extend(24_000u32.to_le_bytes());
        wave.extend(48_000u32.to_le_bytes());
        wave.extend(b"\x02\0\x10\0data");
        // MPEG 2 Layer III at 160 kbit/s: 20,000 bytes a second; MPEG 1 at 128: 16,000.
        let (mpeg_2, mpeg_1) = ([0xff, 0xf3, 0xe4, 0xc4], [0xff, 0xfb, 0x90, 0x64]);
        let tagged = [&b"ID3\x04\0\0\0\0\0\x02ab"[..], &mpeg_2].concat();
        for (format, head, length, expected) in [
            // 5 seconds × 21.
            ("pcm", &b"\0\0"[..], 240_000, 105),
            ("wav", &wave, 240_000, 105),
            ("mp3", &mpeg_2, 100_000, 105),
            ("mp3", &mpeg_1, 80_000, 105),
            ("mp3", &tagged, 100_000, 105),
            // 140 bytes of text: 10 seconds × 21.
            ("opus", b"OggS", 100_000, 210),
            ("mp3", b"\xff\xff\xff\xff", 100_000, 210),
            ("mp3", b"", 0, 210),
            ("pcm", b"", 0, 210),
            // At most what is reserved: 140 seconds × 21.
            ("pcm", b"\0\0", u64::MAX, 2_940),
        ] {
            assert_eq!(tokens(format, head, length), expected, "{format} {length}");
        }
    }
}
