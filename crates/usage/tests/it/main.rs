//! The ledger, its sums, prices and the recorder, on the database that `ORGPLANE_TEST_DATABASE` names.

mod charges;
mod fixture;
mod last_used;
mod ledger;
mod prices;
mod queries;
mod random;
mod recorder;
mod reprice;
mod reservations;
mod retention;
mod spend;
mod verify;
