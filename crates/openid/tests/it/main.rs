//! The relying party against a provider that gives wrong answers, and against providers of others.

mod availability;
mod browser;
mod callbacks;
mod fake_provider;
mod keys;
mod logout;
mod mail;
mod provider_process;
mod real_providers;
mod relying_party;
mod signer;
mod step_up;
mod tls;
mod tokens;
mod user_information;
