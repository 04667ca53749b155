//! `cargo xtask`: the project's own commands, run from the repository with nothing but a Rust toolchain.
#![expect(
    clippy::print_stderr,
    reason = "a command line tool reports on the terminal"
)]

mod browser;
mod ci;
mod clients;
mod contract;
mod deny;
mod environment;
mod fuzz;
mod fuzz_parsers;
mod identity_providers;
mod kill;
mod load;
mod postgres;
mod prices;
mod record_upgrade;
mod slices;
mod step;
mod test;
mod third_party;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use fuzz::{FuzzOptions, Target};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The project's own checks and measurements."
)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, then run all of them on SQLite and again on PostgreSQL.
    Test(test::TestOptions),
    /// Run the checks beside the tests: format, lints, documents, licences, repository rules.
    Ci,
    /// Fuzz the server with what its own OpenAPI document allows and forbids.
    Fuzz(FuzzOptions),
    /// Make answers of model servers in every shape, and look for usage that is read otherwise than it is.
    FuzzAnswers(FuzzOptions),
    /// Alter requests for every route in every way, and look for errors, panics, silence and growth.
    FuzzMutations(FuzzOptions),
    /// Look for a request that the gateway reads otherwise than the servers behind it.
    FuzzRequests(FuzzOptions),
    /// Look for bytes that a parser of the gateway reads wrongly.
    FuzzParsers(fuzz_parsers::ParserOptions),
    /// Run other people's programs against the server, and compare what they got with what is recorded.
    #[command(name = "strangers")]
    ThirdParty(third_party::ThirdPartyOptions),
    /// Kill the server at random moments, and look whether everything is there once.
    Kill(kill::KillOptions),
    /// Run many nodes that share limits against a database that fails in every way.
    Slices(slices::SlicesOptions),
    /// Compare our OpenAPI document with the published one.
    Contract(contract::ContractOptions),
    /// Check the rules of the repository alone.
    Tidy,
    /// Add new migrations to the list of those that never change.
    FreezeMigrations,
    /// Store databases of today's program for the tests of later ones.
    RecordUpgrade(record_upgrade::RecordOptions),
    /// Bring the built-in price book and facts up to date with a public price map.
    Prices(prices::PricesOptions),
    /// Take pictures of every screen of the console, in both themes and two widths.
    Screenshots(browser::ScreenshotOptions),
    /// Measure the gateway, the Administration API, ingest and reports.
    Load(load::LoadOptions),
}

fn main() -> ExitCode {
    let outcome = match Words::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Ci => ci::run(),
        Command::Fuzz(options) => fuzz::run(&Target::DOCUMENT, &options),
        Command::FuzzAnswers(options) => fuzz::run(&Target::ANSWERS, &options),
        Command::FuzzMutations(options) => fuzz::run(&Target::MUTATIONS, &options),
        Command::FuzzRequests(options) => fuzz::run(&Target::REQUESTS, &options),
        Command::FuzzParsers(options) => fuzz_parsers::run(&options),
        Command::ThirdParty(options) => third_party::run(&options),
        Command::Kill(options) => kill::run(&options),
        Command::Slices(options) => slices::run(&options),
        Command::Contract(options) => contract::run(&options),
        Command::Tidy => tidy::run(),
        Command::FreezeMigrations => tidy::migrations::freeze(),
        Command::RecordUpgrade(options) => record_upgrade::run(&options),
        Command::Prices(options) => prices::run(&options),
        Command::Screenshots(options) => browser::screenshots(&options),
        Command::Load(options) => load::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
