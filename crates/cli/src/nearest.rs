//! The word that was probably meant.

/// How many letters of a word make room for one slip.
const LETTERS_A_SLIP: usize = 3;

/// The one of `known` that is most like `word`, when one is.
pub fn nearest<'known>(
    word: &str,
    known: impl IntoIterator<Item = &'known str>,
) -> Option<&'known str> {
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(word, other), other))
        .filter(|(slips, other)| slips * LETTERS_A_SLIP <= other.len().max(word.len()))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, other)| other)
}

/// A question that names `nearest`, to stand behind what is wrong; nothing when there is none.
pub fn question(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("\nDid you mean '{nearest}'?")
    })
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let verbs = ["list", "retrieve", "create", "update", "delete"];
        assert_eq!(nearest("lsit", verbs), Some("list"));
        assert_eq!(nearest("retreive", verbs), Some("retrieve"));
        assert_eq!(nearest("explode", verbs), None);
    }
}
