//! The first start: an empty database gets an organization, its default project, an owner and an admin key.

use std::collections::BTreeSet;

use admin::organization::{self, Bootstrap, NewOrganization};
use anyhow::anyhow;
use base::ids::IdGenerator;
use base::name::Name;
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Entropy};
use store::Store;

/// The length from which a chosen key, without its prefix, is not called weak: as many hexadecimal digits as 128 bits have.
const STRONG_LENGTH: usize = 32;
/// The number of different characters from which such a key is not called weak.
const STRONG_ALPHABET: usize = 10;

/// What a first start works with.
pub struct FirstStart<'a> {
    /// The database.
    pub store: &'a Store,
    /// What keys are hashed with.
    pub pepper: &'a Pepper,
    /// New ids.
    pub ids: &'a IdGenerator,
    /// The time.
    pub clock: &'a Clock,
    /// Randomness.
    pub entropy: &'a Entropy,
    /// The admin key that the operator chose, if they did.
    pub chosen_key: Option<String>,
}

/// Founds the first organization when there is none; `None` when there is one already.
///
/// # Errors
/// The chosen key is no good, or the database's.
pub async fn first_start(start: FirstStart<'_>) -> anyhow::Result<Option<NewOrganization>> {
    // Asked again in the transaction that founds it: another node may start at the same moment.
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

/// The key that the operator chose. One that looks easy to guess is taken, since it is theirs, and said so.
fn chosen(text: String) -> anyhow::Result<Secret> {
    let is_weak = is_weak(text.strip_prefix(KeyKind::Admin.prefix()).unwrap_or(&text));
    let key = Secret::chosen(KeyKind::Admin, text);
    let key = key.map_err(|wrong| anyhow!("ORGPLANE_BOOTSTRAP_ADMIN_KEY {wrong}"))?;
    if is_weak {
        tracing::warn!(
            "ORGPLANE_BOOTSTRAP_ADMIN_KEY weak: fewer than {STRONG_LENGTH} characters after its prefix, or few different \
             ones; replace it by an admin key that the server makes, and delete it"
        );
    }
    Ok(key)
}

/// True if the characters that an operator chose carry fewer than some 128 bits, as far as one can tell.
fn is_weak(own: &str) -> bool {
    let different: BTreeSet<char> = own.chars().collect();
    own.len() < STRONG_LENGTH || different.len() < STRONG_ALPHABET
}

/// An e-mail address, as far as one can be told from anything else.
pub(crate) fn email_address(text: &str) -> Result<String, &'static str> {
    let is_clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    match text.split_once('@') {
        Some((local, domain)) if is_clean && !local.is_empty() && !domain.is_empty() => {
            Ok(text.to_owned())
        }
        _ => Err("must be an e-mail address"),
    }
}

/// Adds another organization.
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
