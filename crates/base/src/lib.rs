//! The words of the domain: ids, permissions, errors, time, money. No I/O, no async.
