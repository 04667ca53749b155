//! The input of a batch that came as an upload: its parts pass through unread, so the file is read when a batch first uses it.

use base::{Error, Result};
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use tokio::sync::Semaphore;

use super::Objects;
use super::batch_input::{BatchInput, BatchInputReader, invalid};
use super::repository::UpstreamObject;
use super::upstream::{PassthroughBody, UpstreamRequest};
use crate::offload::offload;

/// The maximum size of an upload that is the input of a batch.
pub(super) const MAX_BATCH_FILE_BYTES: i64 = 200 * 1024 * 1024;
/// The maximum length of one of its lines, which is in memory as a whole.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;
/// The number of bytes that are read before their lines are parsed.
const BLOCK_BYTES: usize = 1024 * 1024;
/// The maximum number of files that are read at the same time, since each needs memory.
const MAX_CONCURRENT_READS: usize = 4;

/// The permits to read files.
pub(super) struct BatchFileReads(Semaphore);

impl Default for BatchFileReads {
    fn default() -> Self {
        Self(Semaphore::new(MAX_CONCURRENT_READS))
    }
}

impl Objects {
    /// Reads a file from its upstream, and records the requests that it has.
    ///
    /// # Errors
    /// 400 naming the invalid line. 502: the file could not be read. 503: the database does not respond.
    pub(super) async fn read_batch_file(&self, file: &UpstreamObject) -> Result<BatchInput> {
        let permit = self.state.batch_file_reads.0.acquire().await;
        let _permit = permit.map_err(|_| Error::internal())?;
        let request = UpstreamRequest::of_gateway(Method::GET, file, "/content");
        let answer = self.client.send(self.client.upstream_of(file)?, request);
        let answer = answer.await?;
        let status = answer.response.status();
        if !status.is_success() {
            let message = format!("The model server did not return the file: {status}.");
            return Err(Error::upstream(message));
        }
        let (_, content) = PassthroughBody::of(answer);
        let input = read(content).await?;
        self.repository.set_work(file, &input.to_text()?).await?;
        Ok(input)
    }
}

/// Reads the lines of a file, which are parsed in blocks on another thread.
async fn read(mut content: PassthroughBody) -> Result<BatchInput> {
    let mut reader = BatchInputReader::default();
    let mut block = BytesMut::new();
    let mut length = 0;
    while let Some(piece) = content.next().await {
        let broken = |_| Error::upstream("The model server broke off the file.");
        let piece = piece.map_err(broken)?;
        length += piece.len() as i64;
        if length > MAX_BATCH_FILE_BYTES {
            let reason = format!("it has more than {MAX_BATCH_FILE_BYTES} bytes");
            return Err(invalid(&reason));
        }
        // The lines before the last line feed of the piece are whole.
        let end = memchr::memrchr(b'\n', &piece).map_or(0, |at| at + 1);
        block.extend_from_slice(&piece[..end]);
        if end > 0 && block.len() >= BLOCK_BYTES {
            let lines = block.split().freeze();
            reader = parse(reader, lines).await?;
        }
        block.extend_from_slice(&piece[end..]);
        if block.len() > BLOCK_BYTES + MAX_LINE_BYTES {
            return Err(invalid(&format!(
                "a line has more than {MAX_LINE_BYTES} bytes"
            )));
        }
    }
    parse(reader, block.freeze()).await?.finish()
}

/// Parses whole lines.
async fn parse(mut reader: BatchInputReader, mut lines: Bytes) -> Result<BatchInputReader> {
    let parsed = offload(move || {
        while !lines.is_empty() {
            let end = memchr::memchr(b'\n', &lines);
            let line = lines.split_to(end.unwrap_or(lines.len()));
            reader.push(&line)?;
            lines.advance(usize::from(end.is_some()));
        }
        Ok(reader)
    });
    parsed.await?
}
