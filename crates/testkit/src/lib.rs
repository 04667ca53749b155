//! For tests only: an in-process server, identities as clients, a real upstream.
