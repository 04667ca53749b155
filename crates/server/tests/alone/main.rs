//! The built binary under load: tests that measure times need the machine for themselves. Cargo runs this program after
//! the other tests, and its tests wait for one another.

#[path = "../it/api.rs"]
#[expect(
    dead_code,
    reason = "shared with the other tests, which use more of it"
)]
mod api;
mod chaos;
#[path = "../it/dice.rs"]
#[expect(
    dead_code,
    reason = "shared with the other tests, which use more of it"
)]
mod dice;
mod hostile_tenant;
#[path = "../it/installation.rs"]
#[expect(
    dead_code,
    reason = "shared with the other tests, which use more of it"
)]
mod installation;
#[path = "../it/model_stub.rs"]
#[expect(
    dead_code,
    reason = "shared with the other tests, which use more of it"
)]
mod model_stub;
#[path = "../it/process.rs"]
#[expect(
    dead_code,
    reason = "shared with the other tests, which use more of it"
)]
mod process;
#[path = "../it/small_disk.rs"]
mod small_disk;
mod stop_under_load;
#[path = "../it/wire.rs"]
mod wire;

use tokio::sync::{Mutex, MutexGuard};

/// The machine, which one test has at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// Waits until no other test runs. The machine is given back when the guard is dropped.
async fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().await
}
