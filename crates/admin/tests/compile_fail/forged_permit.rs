//! A permit that no check has given.

use admin::operation::{Caller, Permit};
use base::ids::OrganizationId;

fn forge(organization_id: OrganizationId, caller: Option<Caller>) -> Permit {
    Permit { organization_id, caller }
}

fn main() {}
