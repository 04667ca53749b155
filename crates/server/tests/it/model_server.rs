//! The model server behind the gateway: somebody else's program, which answers from `tests/clients/models.json`.

use std::process::Command;

use serde_json::{Value, json};

use crate::process::Process;

/// Price of a model: in US dollars per million tokens, as an operator writes it, and in nano-dollars per token.
pub struct Price {
    pub model: &'static str,
    /// Dialect of the model server that serves the model; only the second reports cached tokens.
    path: &'static str,
    texts: [&'static str; 3],
    /// Of an input token, a cached one, and an output token.
    pub nano_dollars: [i64; 3],
}

pub const PRICES: [Price; 2] = [
    Price {
        model: "gpt-5.5",
        path: "/v1",
        texts: ["1.25", "0.125", "10.00"],
        nano_dollars: [1_250, 125, 10_000],
    },
    Price {
        model: "gpt-5.5-mini",
        path: "/api/v1",
        texts: ["0.25", "0.025", "2.00"],
        nano_dollars: [250, 25, 2_000],
    },
];

/// Killed when dropped.
pub struct ModelServer {
    #[expect(dead_code, reason = "runs until it is dropped")]
    process: Process,
    address: String,
}

impl ModelServer {
    #[track_caller]
    pub fn start() -> Self {
        let mut command = Command::new(prepared("ORGPLANE_TEST_MODEL_SERVER"));
        command.args(["--port", "0"]);
        let mut process = Process::start(command);
        let line = process.wait_for_line("[aimock] aimock server listening on ");
        Self {
            process,
            address: line,
        }
    }

    /// Settings for an installation that forwards to it, with prices.
    pub fn settings(&self) -> String {
        PRICES.iter().map(|price| self.setting(price)).collect()
    }

    fn setting(&self, price: &Price) -> String {
        let Price { model, path, .. } = price;
        self.upstream(path, &[model]) + &price.setting()
    }

    /// The setting of an upstream that serves these models in the dialect below `path`.
    pub fn upstream(&self, path: &str, models: &[&str]) -> String {
        let (name, address) = (models.join(" "), &self.address);
        format!(
            "[[upstream]]\nname = \"{name}\"\nbase_url = \"{address}{path}\"\nmodels = {models:?}\n"
        )
    }
}

impl Price {
    /// As the configuration file has it.
    pub fn setting(&self) -> String {
        let (model, [input, cached, output]) = (self.model, self.texts);
        format!(
            "[[price]]\nmodel = \"{model}\"\neffective = \"2026-01-01\"\n\
             input = \"{input}\"\ncached_input = \"{cached}\"\noutput = \"{output}\"\n"
        )
    }
}

/// The prices as the clients' scripts are told them.
pub fn prices_as_json() -> Value {
    let price = |price: &Price| {
        let [input, cached, output] = price.texts;
        let row = json!({"input": input, "cached_input": cached, "output": output});
        (price.model.to_owned(), row)
    };
    PRICES.iter().map(price).collect()
}

/// The program that this variable names, which `cargo xtask test` sets.
#[track_caller]
pub fn prepared(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run these tests with `cargo xtask test`")
    })
}
