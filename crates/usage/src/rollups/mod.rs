//! The sums that are derived from the ledger, in blocks: docs/decisions/0010-blocks.md.
//!
//! A transaction of the ledger adds one block of [`Shape::New`] with what its rows add to sums by the minute. When there
//! are enough of them their rows go on to the other shapes, where blocks of a span are merged as they become many. So a
//! row is written a few times instead of one row of a table being changed for each event, and a report reads little.

mod amounts;
mod block;
mod fold;
mod rows;
mod shape;
mod table;

pub(crate) use amounts::{AMOUNT, Amounts, COLUMNS, Mask, QUANTITY, columns};
pub(crate) use block::read;
pub(crate) use fold::{Fold, place};
pub(crate) use rows::Rows;
pub(crate) use shape::{Detail, Shape, minute_of};
pub(crate) use table::{Block, blocks, clear, forget_before};
