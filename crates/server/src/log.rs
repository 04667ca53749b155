//! What the program says of itself while it runs: lines for people on a terminal, JSON for everything else.

use std::io::IsTerminal;

use anyhow::bail;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// Logs go to stderr. `RUST_LOG` says how much, `ORGPLANE_LOG_FORMAT` in which form.
///
/// # Errors
/// The form is not one that there is.
pub(crate) fn start() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Whatever is asked for: the values of statements are names, addresses and hashes of keys.
    let drivers = store::TALKATIVE.iter();
    let quiet = drivers.map(|target| format!("{target}=info").parse());
    let quiet: Vec<Directive> = quiet.collect::<Result<_, _>>()?;
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    let is_terminal = std::io::stderr().is_terminal();
    let format = std::env::var("ORGPLANE_LOG_FORMAT").unwrap_or_default();
    let is_json = match format.as_str() {
        "" => !is_terminal,
        "json" => true,
        "text" => false,
        other => bail!("ORGPLANE_LOG_FORMAT is '{other}'; it can be json or text"),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr);
    // Whoever has begun to listen before us, as a test can, keeps listening.
    let _ = if is_json {
        log.json().flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    Ok(())
}
