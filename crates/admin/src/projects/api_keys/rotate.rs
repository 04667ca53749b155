//! `…/api_keys/{api_key_id}/rotate`: a new key in the place of an old one.

use base::Result;
use base::ids::KeyId;
use schemars::JsonSchema;
use serde::Serialize;

use super::{ProjectApiKey, one};
use crate::keys;
use crate::keys::rotate::{ReplacedKey, RotateKey, Rotation};
use crate::operation::{Done, ScopedId, Write};
use crate::projects::ActiveProject;

/// A new key with its secret, which is shown only once, and the key that it replaces.
#[derive(Serialize, JsonSchema)]
pub(super) struct RotatedProjectApiKey {
    #[serde(flatten)]
    key: ProjectApiKey,
    /// The secret. It is shown only here, and is not stored.
    value: String,
    replaces: ReplacedKey,
}

pub(super) async fn rotate(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, KeyId>,
    body: RotateKey,
) -> Result<Done<RotatedProjectApiKey>> {
    let old = one(&mut cx, &project, &id).await?;
    let owner = old.owner.in_project(&project.id);
    let rotated = keys::rotate::rotate(&mut cx, &id, owner, body).await?;
    let Rotation {
        issued,
        replaced,
        event,
    } = rotated;
    let answer = RotatedProjectApiKey {
        key: one(&mut cx, &project, &issued.id).await?,
        value: issued.value.reveal(),
        replaces: replaced,
    };
    Ok(cx.done(event, answer))
}
