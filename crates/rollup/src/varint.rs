//! Integers of variable length in byte strings: unsigned ones as LEB128, signed ones zigzag-encoded first, as in Protocol
//! Buffers.

use integer_encoding::VarInt;

/// The longest encoding of a 64-bit integer.
const MAX_BYTES: usize = 10;

/// Appends an integer.
pub fn push<T: VarInt>(out: &mut Vec<u8>, number: T) {
    let mut encoded = [0; MAX_BYTES];
    let length = number.encode_var(&mut encoded);
    out.extend_from_slice(&encoded[..length]);
}

/// Removes an integer from the front of `bytes`; `None` if there is no complete one.
pub fn take<T: VarInt>(bytes: &mut &[u8]) -> Option<T> {
    let (number, length) = T::decode_var(bytes)?;
    *bytes = bytes.get(length..)?;
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integer_is_read_as_it_was_written(numbers: Vec<i64>, shift in 0..64u32) {
            let mut bytes = Vec::new();
            for &number in &numbers {
                push(&mut bytes, number >> shift);
                push(&mut bytes, number.cast_unsigned() >> shift);
            }
            let mut rest = &bytes[..];
            for number in numbers {
                prop_assert_eq!(take(&mut rest), Some(number >> shift));
                prop_assert_eq!(take(&mut rest), Some(number.cast_unsigned() >> shift));
            }
            prop_assert!(rest.is_empty() && take::<u64>(&mut rest).is_none());
        }
    }

    #[test]
    fn integers_are_encoded_as_stored_blocks_have_them() {
        let encoded = |numbers: &[i64]| {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| push(&mut bytes, *number));
            bytes
        };
        assert_eq!(encoded(&[0, -1, 1, 63, -64]), [0, 1, 2, 126, 127]);
        assert_eq!(
            encoded(&[64, -65, 8_192]),
            [0x80, 1, 0x81, 1, 0x80, 0x80, 1]
        );
        let largest = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(encoded(&[i64::MAX]), largest);
        let mut unsigned = Vec::new();
        push(&mut unsigned, 300_u64);
        push(&mut unsigned, 127_u64);
        assert_eq!(unsigned, [0xac, 2, 127]);
    }

    #[test]
    fn an_unfinished_integer_is_none() {
        assert_eq!(take::<u64>(&mut &[0x80, 0x80][..]), None);
        assert_eq!(take::<u64>(&mut &[0xff; 12][..]), None);
        assert_eq!(take::<i64>(&mut &[0xff; 12][..]), None);
    }
}
