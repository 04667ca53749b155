//! The beginning and the length of generated speech.

/// The bytes of audio that are kept: its header, behind the tag that encoders write.
const MAX_HEAD_BYTES: usize = 256;

/// Generated speech as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct SpeechAudio {
    /// The first bytes.
    pub(crate) head: Vec<u8>,
    /// The number of bytes.
    pub(crate) length: u64,
}

impl SpeechAudio {
    /// Adds the next bytes.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let room = MAX_HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
        self.length = self.length.saturating_add(piece.len() as u64);
    }
}
