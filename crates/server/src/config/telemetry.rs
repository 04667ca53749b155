//! `[metrics]` and `[telemetry]`: monitoring and tracing.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::TracingOptions;

use super::without_password;

/// Metrics in Prometheus format.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsTable {
    /// Separate address for metrics.
    #[schemars(extend("x-default" = "served at `/metrics` of `listen`"))]
    pub(super) listen: Option<SocketAddr>,
}

/// Traces over OTLP. OpenTelemetry's environment variables (`OTEL_…`) override this table.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TelemetryTable {
    /// Base URL of the collector (OTLP over HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_endpoint: Option<String>,
    /// Fraction of requests that are traced; 0 to 1.
    #[schemars(extend("x-default" = "1"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<f64>,
}

impl TelemetryTable {
    /// Returns the trace collector, if any. OpenTelemetry environment variables override the file.
    pub(super) fn tracing(
        self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Option<TracingOptions>> {
        let environment = |name| environment(name).filter(|value| !value.is_empty());
        let mut sample = self.sample;
        if let Some(part) = environment("OTEL_TRACES_SAMPLER_ARG") {
            let part = part
                .parse()
                .context("OTEL_TRACES_SAMPLER_ARG is not a number")?;
            sample = Some(part);
        }
        if sample.is_some_and(|part| !(0.0..=1.0).contains(&part)) {
            bail!("telemetry.sample must be a number from 0 to 1");
        }
        let is_disabled = environment("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let named = [
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ];
        let is_named = named.into_iter().any(|name| environment(name).is_some());
        if is_disabled || !(is_named || self.otlp_endpoint.is_some()) {
            return Ok(None);
        }
        Ok(Some(TracingOptions {
            endpoint: self.otlp_endpoint.filter(|_| !is_named),
            // The exporter itself reads a sampler named in the environment.
            sample: sample.filter(|_| environment("OTEL_TRACES_SAMPLER").is_none()),
            version: env!("CARGO_PKG_VERSION"),
        }))
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(tracing: Option<&TracingOptions>) -> Self {
        let endpoint = tracing.and_then(|tracing| tracing.endpoint.as_deref());
        Self {
            otlp_endpoint: endpoint.map(without_password),
            sample: tracing.and_then(|tracing| tracing.sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the endpoint and the sampled fraction.
    type Chosen = (Option<String>, Option<f64>);

    fn tracing(
        file: (Option<&str>, Option<f64>),
        environment: &[(&str, &str)],
    ) -> Result<Option<Chosen>, String> {
        let table = TelemetryTable {
            otlp_endpoint: file.0.map(str::to_owned),
            sample: file.1,
        };
        let find = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let tracing = table.tracing(find).map_err(|error| format!("{error:#}"))?;
        Ok(tracing.map(|tracing| (tracing.endpoint, tracing.sample)))
    }

    #[test]
    fn traces_go_nowhere_unless_said() {
        let file = Some("http://127.0.0.1:4318");
        let own = Some("http://127.0.0.1:4318".to_owned());
        let elsewhere = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        for (file, environment, expected) in [
            ((None, None), &[][..], None),
            (
                (None, Some(0.5)),
                &[("OTEL_TRACES_SAMPLER_ARG", "0.1")],
                None,
            ),
            ((file, None), &[("OTEL_SDK_DISABLED", "true")], None),
            ((file, Some(0.5)), &[], Some((own.clone(), Some(0.5)))),
            (
                (file, Some(0.5)),
                &[("OTEL_TRACES_SAMPLER_ARG", "0.1")],
                Some((own, Some(0.1))),
            ),
            ((None, None), &[elsewhere], Some((None, None))),
            ((file, Some(0.5)), &[elsewhere], Some((None, Some(0.5)))),
            (
                (None, Some(0.5)),
                &[elsewhere, ("OTEL_TRACES_SAMPLER", "always_on")],
                Some((None, None)),
            ),
        ] {
            assert_eq!(tracing(file, environment), Ok(expected), "{environment:?}");
        }
    }

    #[test]
    fn a_part_is_a_number_from_0_to_1() {
        for (sample, environment, words) in [
            (Some(1.5), &[][..], "from 0 to 1"),
            (Some(f64::NAN), &[], "from 0 to 1"),
            (None, &[("OTEL_TRACES_SAMPLER_ARG", "half")], "not a number"),
            (None, &[("OTEL_TRACES_SAMPLER_ARG", "-1")], "from 0 to 1"),
        ] {
            let error = tracing((Some("http://h"), sample), environment).err();
            assert!(error.is_some_and(|error| error.contains(words)), "{words}");
        }
    }
}
