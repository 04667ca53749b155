//! Hints for the fields of limits, alerts, certificates and policies.

use super::hints::{Hint, HintControl, NONE};
use crate::picker::PickerKind;

/// Hints, special ones before general ones.
pub(super) const SETTING_HINTS: &[Hint] = &[
    Hint {
        field: "threshold_amount",
        label: "Amount a month",
        help: Some("In US dollars, for a calendar month in UTC."),
        control: Some(HintControl::Dollars),
        ..NONE
    },
    Hint {
        field: "notification_channel",
        label: "Notification",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "notification_channel.recipients",
        label: "Recipients",
        help: Some("E-mail addresses, a line each, up to 20."),
        ..NONE
    },
    Hint {
        field: "notification_channel.subject_prefix",
        label: "Beginning of the subject",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "certificate",
        label: "Certificate",
        help: Some("Certificate of an authority in PEM: one block."),
        control: Some(HintControl::Text),
        ..NONE
    },
    Hint {
        field: "certificate_ids",
        label: "Certificates",
        help: Some("Up to 10."),
        control: Some(HintControl::PickMany(PickerKind::Certificates)),
        ..NONE
    },
    Hint {
        field: "retention_type",
        label: "Data retention",
        help: Some("What the gateway and its upstreams may keep of requests and answers."),
        source: "/type",
        ..NONE
    },
    Hint {
        field: "mode",
        label: "Models",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "model_ids",
        label: "Names of models",
        help: Some("The models of this gateway. Others can be named, too."),
        control: Some(HintControl::PickMany(PickerKind::Models)),
        ..NONE
    },
    Hint {
        field: "geography",
        is_more: true,
        ..NONE
    },
    Hint {
        field: "residency",
        help: Some("Kept and shown, but without effect on this server."),
        is_more: true,
        ..NONE
    },
    Hint {
        field: "external_key_id",
        label: "Customer-managed key",
        is_more: true,
        ..NONE
    },
    Hint {
        field: "max_requests_per_1_minute",
        label: "Requests a minute",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "max_requests_per_1_day",
        label: "Requests a day",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "max_tokens_per_1_minute",
        label: "Tokens a minute",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "max_images_per_1_minute",
        label: "Images a minute",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "max_audio_megabytes_per_1_minute",
        label: "Megabytes of audio a minute",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "batch_1_day_max_input_tokens",
        label: "Input tokens of batches a day",
        help: Some(""),
        ..NONE
    },
    Hint {
        field: "default",
        label: "Default tier",
        help: Some("For requests that name no tier, or say auto."),
        ..NONE
    },
    Hint {
        field: "enabled_tiers",
        label: "Enabled tiers",
        help: Some("Beside the standard tier, which is always enabled."),
        ..NONE
    },
];
