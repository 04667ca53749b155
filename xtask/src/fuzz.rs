//! `cargo xtask fuzz`, `fuzz-answers`, `fuzz-mutations` and `fuzz-requests`: tests with random input, at length.
//!
//! The input of each is drawn from a seed, so a failure can be repeated. `cargo xtask test` runs the same tests briefly.

use anyhow::Result;
use clap::Args;

use crate::environment::{cargo, root};
use crate::step::run as run_command;
use crate::test::{Database, run_with};

/// Options of the fuzz commands.
#[derive(Args)]
pub struct FuzzOptions {
    /// The number of inputs, on each database: requests or answers. The default differs by command.
    #[arg(long, visible_alias = "answers", value_name = "N")]
    requests: Option<u64>,
    /// The seed that the inputs follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The database of the server: both, or for fuzz-requests SQLite, if it is not named. Answers need none.
    #[arg(long, value_enum)]
    database: Option<Database>,
}

/// A test with random input.
pub struct Target {
    /// Words for `cargo test` that select the test.
    words: &'static str,
    /// Number of inputs unless the command names one.
    default_count: u64,
    /// Database of the server; `None` for a test without a server.
    default_database: Option<Database>,
    /// Environment variables with the number of inputs and with the seed.
    variables: [&'static str; 2],
}

impl Target {
    /// Requests that schemathesis makes from the OpenAPI document. Fails on a finding, too few requests, or too few
    /// operations that succeed.
    pub const DOCUMENT: Self = Self {
        words: "-p orgplane --test it fuzz:: -- --nocapture",
        default_count: 20_000,
        default_database: Some(Database::Both),
        variables: ["ORGPLANE_TEST_FUZZ_REQUESTS", "ORGPLANE_TEST_FUZZ_SEED"],
    };
    /// Answers of model servers. Fails if the usage of an answer is misread, or hidden content is shown.
    pub const ANSWERS: Self = Self {
        words: "-p gateway --lib any_truth",
        default_count: 1_000_000,
        default_database: None,
        variables: ["ORGPLANE_TEST_ANSWERS", "ORGPLANE_TEST_ANSWERS_SEED"],
    };
    /// Altered requests for every route. Fails on an answer of 5xx, a panic, a silence, a lost key, or too much memory.
    pub const MUTATIONS: Self = Self {
        words: "-p orgplane --test it mutations:: -- --nocapture",
        default_count: 612_000,
        default_database: Some(Database::Both),
        variables: ["ORGPLANE_TEST_MUTATIONS", "ORGPLANE_TEST_MUTATIONS_SEED"],
    };
    /// Requests that other programs read, too. Fails if a reader finds in a forwarded request what its project may not do,
    /// or a plain request is refused.
    pub const REQUESTS: Self = Self {
        words: "-p orgplane --test it differential:: -- --nocapture",
        default_count: 100_000,
        default_database: Some(Database::Sqlite),
        variables: [
            "ORGPLANE_TEST_DIFFERENTIAL",
            "ORGPLANE_TEST_DIFFERENTIAL_SEED",
        ],
    };
}

/// Runs the test of a target.
pub fn run(target: &Target, options: &FuzzOptions) -> Result<()> {
    let words: Vec<_> = target.words.split(' ').map(str::to_owned).collect();
    let count = options.requests.unwrap_or(target.default_count);
    let [count_variable, seed_variable] = target.variables;
    let variables = [
        (count_variable, count.to_string()),
        (seed_variable, options.seed.to_string()),
    ];
    match options.database.or(target.default_database) {
        Some(database) if target.default_database.is_some() => {
            run_with(database, &words, &variables)
        }
        _ => run_command(cargo(&root()?).arg("test").args(words).envs(variables)),
    }
}
