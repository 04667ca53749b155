//! The longest duration of a file of sound, by its length and its first bytes.

/// The least that a second of compressed speech takes, in bytes: less than any encoder of the formats that servers take
/// writes, the lowest of which are AMR (594), Opus (750) and MP3 (1,000).
const MIN_BYTES_PER_SECOND: usize = 500;

/// The place of the first chunk of a WAVE file, and of the values in it.
const FIRST_CHUNK: usize = 12;
const FORMAT: usize = FIRST_CHUNK + 8;
/// Samples that are plain numbers: whole or floating.
const PLAIN_FORMATS: [u16; 2] = [1, 3];

/// The most seconds that a file has.
pub(super) fn max_seconds(file: &[u8]) -> i64 {
    let each = bytes_per_second(file).unwrap_or(MIN_BYTES_PER_SECOND);
    i64::try_from(file.len().div_ceil(each)).unwrap_or(i64::MAX)
}

/// Returns the bytes of a second in a WAVE file whose samples are not compressed.
fn bytes_per_second(file: &[u8]) -> Option<usize> {
    let is_wave = file.starts_with(b"RIFF") && file.get(8..FORMAT - 4) == Some(b"WAVEfmt ");
    let two = |at: usize| {
        let bytes = file.get(FORMAT + at..FORMAT + at + 2)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    };
    let (format, channels, bits) = (two(0)?, two(2)?, two(14)?);
    let rate = file.get(FORMAT + 4..FORMAT + 8)?;
    let rate = usize::try_from(u32::from_le_bytes(rate.try_into().ok()?)).ok()?;
    let sample = usize::from(channels) * usize::from(bits / 8);
    let each = rate.checked_mul(sample)?;
    (is_wave && PLAIN_FORMATS.contains(&format) && each > 0).then_some(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(format: u16, channels: u16, rate: u32, bits: u16, length: usize) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        file.extend(format.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        // The two values that others are reckoned by are not believed.
        file.extend([0xff; 6]);
        file.extend(bits.to_le_bytes());
        file.resize(length, 0);
        file
    }

    #[test]
    fn a_wave_file_is_as_long_as_its_head_says_and_others_as_they_may_be() {
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
