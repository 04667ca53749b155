//! First start: creates an organization, its default project, an owner and an admin key in an empty database.

use std::collections::BTreeSet;

use admin::organization::{self, Bootstrap, NewOrganization};
use anyhow::anyhow;
use base::ids::IdGenerator;
use base::name::Name;
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Entropy};
use store::Store;

/// Minimum length of an operator-chosen key, without its prefix, that is not reported as weak: 32 hexadecimal digits
/// are 128 bits.
const MIN_STRONG_LEN: usize = 32;
/// Minimum number of distinct characters of a key that is not reported as weak.
const MIN_STRONG_CHARACTERS_COUNT: usize = 10;

/// Dependencies of the first start.
pub struct FirstStart<'a> {
    /// Database to initialize.
    pub store: &'a Store,
    /// Secret that keys are hashed with.
    pub pepper: &'a Pepper,
    /// Generator of ids.
    pub ids: &'a IdGenerator,
    /// Wall clock.
    pub clock: &'a Clock,
    /// Source of randomness.
    pub entropy: &'a Entropy,
    /// Admin key chosen by the operator; generated if `None`.
    pub chosen_key: Option<String>,
}

/// Creates the first organization. Returns `None` if an organization exists.
///
/// # Errors
/// The chosen key is malformed, or the database fails.
pub async fn first_start(start: FirstStart<'_>) -> anyhow::Result<Option<NewOrganization>> {
    // Checked again within the transaction, since another node may start at the same moment.
    if organization::exists(start.store).await? {
        return Ok(None);
    }
    let key = match start.chosen_key {
        Some(text) => chosen(text)?,
        None => Secret::generate(KeyKind::Admin, start.entropy),
    };
    let bootstrap = Bootstrap {
        store: start.store,
        pepper: start.pepper,
        ids: start.ids,
        clock: start.clock,
        name: "Default organization",
        owner_email: "owner@localhost",
        key,
    };
    Ok(organization::create_first(bootstrap).await?)
}

/// Parses the key chosen by the operator. A weak key is accepted with a warning.
fn chosen(text: String) -> anyhow::Result<Secret> {
    let is_weak = is_weak(text.strip_prefix(KeyKind::Admin.prefix()).unwrap_or(&text));
    let key = Secret::chosen(KeyKind::Admin, text);
    let key = key.map_err(|wrong| anyhow!("ORGPLANE_BOOTSTRAP_ADMIN_KEY {wrong}"))?;
    if is_weak {
        tracing::warn!(
            "ORGPLANE_BOOTSTRAP_ADMIN_KEY weak: fewer than {MIN_STRONG_LEN} characters after the prefix, or few distinct \
             ones; replace it by an admin key that the server makes, and delete it"
        );
    }
    Ok(key)
}

/// True if the characters after the prefix have fewer than about 128 bits of entropy.
fn is_weak(own: &str) -> bool {
    let different: BTreeSet<char> = own.chars().collect();
    own.len() < MIN_STRONG_LEN || different.len() < MIN_STRONG_CHARACTERS_COUNT
}

/// Parses an e-mail address for the command line.
pub(crate) fn email_address(text: &str) -> Result<String, &'static str> {
    let is_clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    match text.split_once('@') {
        Some((local, domain)) if is_clean && !local.is_empty() && !domain.is_empty() => {
            Ok(text.to_owned())
        }
        _ => Err("must be an e-mail address"),
    }
}

/// Creates a further organization.
///
/// # Errors
/// The database's.
pub(crate) async fn create(
    start: FirstStart<'_>,
    name: &Name,
    owner_email: &str,
) -> anyhow::Result<NewOrganization> {
    let bootstrap = Bootstrap {
        store: start.store,
        pepper: start.pepper,
        ids: start.ids,
        clock: start.clock,
        name: name.as_str(),
        owner_email,
        key: Secret::generate(KeyKind::Admin, start.entropy),
    };
    Ok(organization::create(bootstrap).await?)
}
