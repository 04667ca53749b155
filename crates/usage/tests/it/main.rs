//! Tests of the ledger, its rollups, prices and the recorder, on the database that `ORGPLANE_TEST_DATABASE` names.

mod built_in_book;
mod charges;
mod correct;
mod fixture;
mod last_used;
mod ledger;
mod lost;
mod message_prices;
mod nodes;
mod panics;
mod price_bounds;
mod price_rows;
mod price_units;
mod prices;
mod queries;
mod random;
mod recorder;
mod refusals;
mod refused;
mod reprice;
mod reservations;
mod retention;
mod slices;
mod sources;
mod spend;
mod verify;
