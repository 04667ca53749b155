//! The answers of a batch that its upstream stores: they are recorded for the project of the batch when it has ended.

use base::{Error, Result};
use bytes::Buf;

use super::Objects;
use super::batch_input::BatchInput;
use super::batch_status::BatchStatus;
use super::batch_usage::open_output;
use super::repository::UpstreamObject;
use crate::document::StoredIdScanner;
use crate::state_recording::{StateExpiry, named_objects};

/// The number of objects that are recorded in one transaction, unless one answer has more.
const MIN_GROUP: usize = 500;

impl Objects {
    /// Records what the answers of an ended batch have left at its upstream, from its output. Answers that are recorded already
    /// change nothing, so that a failed call can be repeated. The output is read only if its answers may be stored.
    ///
    /// # Errors
    /// 502: the output could not be read. 503: the database does not respond.
    pub(super) async fn record_batch_answers(
        &self,
        batch: &UpstreamObject,
        status: &BatchStatus,
        input: &BatchInput,
    ) -> Result<()> {
        let (Some(answer), Some(output)) = (input.stored_answer(), status.output_file()) else {
            return Ok(());
        };
        let Some(mut output) = open_output(&self.client, batch, output).await? else {
            return Ok(());
        };
        let mut line = StoredIdScanner::of_batch_lines(answer);
        let mut group = Vec::new();
        while let Some(piece) = output.next().await {
            let broken = |_| Error::upstream("The output of a batch broke off.");
            let mut piece = piece.map_err(broken)?;
            while let Some(end) = memchr::memchr(b'\n', &piece) {
                line.feed(&piece.split_to(end));
                piece.advance(1);
                self.end_line(batch, &mut line, &mut group);
                if group.len() >= MIN_GROUP {
                    self.repository.add_all(group.iter()).await?;
                    group.clear();
                }
            }
            line.feed(&piece);
        }
        self.end_line(batch, &mut line, &mut group);
        self.repository.add_all(group.iter()).await?;
        // The sessions of containers are due.
        self.state.due.notify_one();
        Ok(())
    }

    /// Ends a line, and adds the objects of its answer to `group`.
    fn end_line(
        &self,
        batch: &UpstreamObject,
        line: &mut StoredIdScanner,
        group: &mut Vec<UpstreamObject>,
    ) {
        line.end_document();
        let named = named_objects(line, StateExpiry::OfAnswer, None, self.clock.now());
        group.extend(named.map(|object| self.state_row(&batch.owner, &batch.upstream, &object)));
        line.clear();
    }
}
