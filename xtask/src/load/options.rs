//! Options of every measurement.

use std::path::PathBuf;

use clap::Args;

use super::engine::EngineName;

/// Sizes and lengths of the measurements.
#[derive(Args)]
pub struct BenchOptions {
    /// Seconds of each single measurement.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Number of repetitions of each measurement; medians are reported.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub rounds: u64,
    /// Number of usage events that reports are read from; for several ledgers, one after the other: `10M,100M`.
    #[arg(long, value_name = "N", default_value = "200k,2M", value_delimiter = ',', value_parser = count)]
    pub events: Vec<u64>,
    /// The larger ledgers have as many events more of each second, key and model of the smallest, instead of more of these:
    /// then answers are as large.
    #[arg(long)]
    pub alike: bool,
    /// Number of series of an organization that has many.
    #[arg(long, value_name = "N", default_value = "1M", value_parser = count)]
    pub series: u64,
    /// Database systems to measure on, one after the other. A cluster of PostgreSQL is made for it and removed afterwards.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        default_value = "sqlite",
        value_delimiter = ','
    )]
    pub database: Vec<EngineName>,
    /// Number of rows of the longest list; each of the others has a tenth of the next, down to 1,000.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub rows: u64,
    /// Minutes for which the gateway's memory is watched.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub minutes: u64,
    /// The profile that the binary is built with: `release`, as users compile it, or `dist`, as packages have it.
    #[arg(long, value_name = "NAME", default_value = "release", value_parser = ["release", "dist"])]
    pub profile: String,
    /// A binary that was built before, of any profile; none is built then.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub binary: Option<PathBuf>,
}

/// Minimum number of events of a ledger, and of series: a year of fewer is no year of use.
const MIN_EVENTS: u64 = 100_000;
/// Maximum number of events of a ledger: the sums of tokens and of costs of more may not fit.
const MAX_EVENTS: u64 = 1_000_000_000;

/// Parses a number of events or series such as `200k` or `10M`.
fn count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) => (digits, 1_000_000),
        None => (text, 1),
    };
    let number = digits.parse::<u64>().ok();
    let count = number.and_then(|number| number.checked_mul(factor));
    let fits = |count: &u64| (MIN_EVENTS..=MAX_EVENTS).contains(count);
    count
        .filter(fits)
        .ok_or_else(|| "must be between 100k and 1000M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_events_are_read() {
        assert_eq!(count("100000"), Ok(100_000));
        assert_eq!(count("200k"), Ok(200_000));
        assert_eq!(count("100M"), Ok(100_000_000));
        for text in [
            "",
            "k",
            "99k",
            "1001M",
            "1G",
            "-1M",
            "1.5M",
            "99999999999999999M",
        ] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
