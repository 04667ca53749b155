//! The view of the gateway's rate limits for the Administration API, which knows no gateway.

use admin::Services;
use admin::rate_limit_usage::{LimitUse, ModelUse, RateLimitUsage};
use base::ids::ProjectId;
use gateway::{Gateway, RateLimitCounters, WindowUsage};

/// Counters of the gateway in this process.
struct GatewayCounters(RateLimitCounters);

/// Gives the handlers the counters of the gateway.
pub(crate) fn wire(services: &Services, gateway: &Gateway) {
    let counters = GatewayCounters(gateway.rate_limit_counters());
    // There is one gateway in a process.
    let _ = services.rate_limit_usage.set(Box::new(counters));
}

impl RateLimitUsage for GatewayCounters {
    fn usage(&self, project: &ProjectId) -> Vec<ModelUse> {
        let models = self.0.usage(project).into_iter();
        models
            .map(|(model, windows)| ModelUse {
                model: model.to_string(),
                limits: windows
                    .into_iter()
                    .map(|(field, window)| (field, limit_use(window)))
                    .collect(),
            })
            .collect()
    }
}

fn limit_use(window: WindowUsage) -> LimitUse {
    LimitUse {
        used: window.used,
        reserved: window.reserved,
        reset_milliseconds: window.reset,
    }
}
