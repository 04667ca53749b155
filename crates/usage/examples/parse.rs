//! Measures how fast reported events are parsed and checked, on one core and without the ledger:
//! `cargo run --release -p usage --example parse [events]`.
#![expect(clippy::print_stdout, reason = "what is measured is to be seen")]

use std::error::Error;
use std::hint::black_box;

use base::UnixTime;
use base::ids::{Id, OrganizationId};
use base::time::Stopwatch;
use usage::{EventBounds, PriceBook, ReportedEvent, RetentionPeriods};

const NOW: UnixTime = UnixTime(1_772_409_600);
/// The number of events of a request.
const MAX_BATCH: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let all: usize = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let lines: Vec<String> = (0..MAX_BATCH).map(line).collect();
    let bytes: usize = lines.iter().map(String::len).sum();
    let organization = OrganizationId::from_text("org-measured".to_owned());
    let prices = PriceBook::built_in();
    let bounds = EventBounds {
        prices: &prices,
        keep: RetentionPeriods::default(),
        is_import: false,
    };
    let watch = Stopwatch::start();
    for line in lines.iter().cycle().take(all) {
        let event = ReportedEvent::parse(line).and_then(|reported| {
            black_box(reported.project_id()?);
            reported.check(&organization, NOW, bounds)
        });
        black_box(event.map_err(|refused| refused.error)?);
    }
    let seconds = watch.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(all)?) / seconds;
    println!(
        "{rate:.0} events/s parsed and checked, of {} bytes each",
        bytes / MAX_BATCH
    );
    Ok(())
}

/// Returns a chat completion as a gateway reports it.
fn line(number: usize) -> String {
    let (project, key) = (number % 50, number % 200);
    format!(
        r#"{{"id":"evt_{number:026}","timestamp":1772400000,"type":"completions","project_id":"proj_{project:026}","user_id":"user-{key:026}","api_key_id":"key_{key:026}","model":"gpt-5-mini","batch":false,"service_tier":"default","input_tokens":1200,"input_cached_tokens":1000,"output_tokens":350,"num_model_requests":1}}"#
    )
}
