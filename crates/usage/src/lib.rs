//! What was consumed: events, prices, the ledger and its rollups.
