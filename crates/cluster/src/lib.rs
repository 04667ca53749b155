//! Sessions of the nodes on one database, and the clock that they share.
//!
//! Each life of a process is a session, a row of the table `nodes`: its epoch names the session, and the node prolongs it
//! every second. Once a session is over, the node begins another one. All times that nodes compare are of PostgreSQL's
//! clock, which is read with each prolongation. A number, the generation, grows whenever PostgreSQL may have lost commits
//! or its clock was set.
//!
//! On SQLite, which one process serves, the session is local: it never ends, and costs no query.

mod clock_reading;
mod fingerprint;
mod living;
mod session;
mod session_state;
mod session_task;
mod table;

pub use clock_reading::TimeBounds;
pub use fingerprint::Fingerprint;
pub use living::{LivingNode, living_nodes};
pub use session::{NodeSession, SessionMoment};
pub use session_state::Generation;
pub use session_task::SessionOptions;
