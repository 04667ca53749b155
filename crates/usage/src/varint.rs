//! Integers in as few bytes as they need, seven bits in each, as protocol buffers have them.

/// Adds a number.
pub(crate) fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Adds a number that may be negative: of small size either way.
pub(crate) fn push_signed(out: &mut Vec<u8>, number: i64) {
    push(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Takes a number off the front; `None` when there is none.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut number = u64::from(first & 0x7f);
    for shift in (7..64).step_by(7) {
        let (&next, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Some(number);
        }
    }
    None
}

/// As [`take`], of what [`push_signed`] has added.
pub(crate) fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let number = take(bytes)?;
    Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_found_again(numbers: Vec<i64>, shift in 0..64u32) {
            let mut bytes = Vec::new();
            for &number in &numbers {
                push_signed(&mut bytes, number >> shift);
                push(&mut bytes, number.cast_unsigned() >> shift);
            }
            let mut rest = &bytes[..];
            for number in numbers {
                prop_assert_eq!(take_signed(&mut rest), Some(number >> shift));
                prop_assert_eq!(take(&mut rest), Some(number.cast_unsigned() >> shift));
            }
            prop_assert!(rest.is_empty() && take(&mut rest).is_none());
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        assert_eq!(take(&mut &[0x80, 0x80][..]), None);
        assert_eq!(take(&mut &[0xff; 12][..]), None);
    }
}
