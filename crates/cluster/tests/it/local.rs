//! The session of the only process of a database.

use base::{Clock, UnixTime};
use cluster::{NodeSession, TimeBounds};

#[tokio::test]
async fn a_local_session_is_never_over_and_follows_the_clock_of_the_process() {
    let clock = Clock::fake(UnixTime(1_000));
    let session = NodeSession::local(clock.clone());
    clock.advance(3_600);
    let moment = session.current().expect("never over");
    assert_eq!(moment.now, TimeBounds::exact(4_600_000));
    assert_eq!((moment.epoch, moment.generation.is_open), (0, true));
    assert!(!session.is_over());
    assert!(session.living().is_empty());
}
