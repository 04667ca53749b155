//! The priority of threads.

use std::io;

/// The nice value of background threads, of 0 to 19. On a core shared with the threads that answer requests, a background
/// thread gets between a quarter and a third of the time.
#[cfg(target_os = "linux")]
const BACKGROUND_NICE_LEVEL: i32 = 5;

/// Lowers the priority of the calling thread below that of the threads that answer requests. Does nothing on systems
/// other than Linux, where the priority is that of the whole process.
///
/// # Errors
/// The operating system refuses.
pub fn lower_thread_priority() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // Linux takes a missing process id for the calling thread.
    rustix::process::setpriority_process(None, BACKGROUND_NICE_LEVEL)?;
    Ok(())
}
