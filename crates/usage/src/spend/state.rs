//! The spend in memory: for each month, of each organization and each of its projects.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};

use super::slice::{Slice, SliceKey, SliceTotal};
use super::{Month, ReservationState, ReservedTotal, SpendChange, SpendTotal};

/// The spend of the months that are remembered, by their first seconds. Organizations and projects are added when they
/// spend or reserve.
#[derive(Default)]
pub(super) struct SpendState {
    months: BTreeMap<UnixTime, HashMap<OrganizationId, OrganizationSpend>>,
    /// The money that is reserved in the database, regardless of the month in which it will be spent.
    reserved: HashMap<OrganizationId, ReservedByProject>,
    /// The month of the last request, cached since the calendar is slow.
    current: Option<Month>,
    /// The number of changes of spend so far, of all organizations.
    revision: u64,
}

#[derive(Default)]
struct OrganizationSpend {
    account: SpendAccount,
    projects: HashMap<ProjectId, ProjectSpend>,
    /// The [`SpendState::revision`] of the last change of this organization's spend.
    revision: u64,
}

#[derive(Default)]
struct ProjectSpend {
    account: SpendAccount,
    /// The number of changes of the project's sum in the database.
    changes: i64,
    /// The slice of this node, where several nodes share limits.
    slice: Slice,
}

/// The money that is reserved in the database for an organization.
#[derive(Default)]
struct ReservedByProject {
    sum: NanoDollars,
    /// The amount of each project, and the number of its changes in the database.
    projects: HashMap<ProjectId, (NanoDollars, i64)>,
}

/// The money of an organization or of a project in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SpendAccount {
    /// The sum in the ledger.
    pub(super) spent: NanoDollars,
    /// The sum reserved for requests under way.
    pub(super) reserved: NanoDollars,
}

impl SpendAccount {
    /// True if a request of this maximum cost fits within the limit. A request that costs nothing is refused only once
    /// the limit is reached.
    pub(super) fn admits(self, limit: NanoDollars, max_cost: NanoDollars) -> bool {
        let is_free = max_cost == NanoDollars::default();
        self.spent < limit && (is_free || self.spent + self.reserved + max_cost <= limit)
    }

    /// Returns the account with a sum that is reserved in the database added to the reserved one.
    pub(super) fn with_reserved(self, reserved: NanoDollars) -> Self {
        Self {
            reserved: self.reserved + reserved,
            ..self
        }
    }
}

impl SpendState {
    pub(super) fn month_of(&mut self, time: UnixTime) -> Month {
        let known = self.current.filter(|month| month.contains(time));
        *self
            .current
            .insert(known.unwrap_or_else(|| Month::of(time)))
    }

    pub(super) fn account(
        &self,
        month: UnixTime,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> SpendAccount {
        let all = self.months.get(&month);
        let Some(organization) = all.and_then(|all| all.get(organization)) else {
            return SpendAccount::default();
        };
        let project = project.map(|project| organization.projects.get(project));
        project.map_or(organization.account, |project| {
            project.map_or_else(SpendAccount::default, |project| project.account)
        })
    }

    /// Returns the money that is reserved in the database for an organization, and for one of its projects.
    pub(super) fn reserved(
        &self,
        organization: &OrganizationId,
        project: &ProjectId,
    ) -> [NanoDollars; 2] {
        [None, Some(project)].map(|project| self.reserved_of(organization, project))
    }

    /// Returns the money that is reserved in the database for an organization, or for one of its projects.
    pub(super) fn reserved_of(
        &self,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> NanoDollars {
        let reserved = self.reserved.get(organization);
        reserved.map_or_else(NanoDollars::default, |reserved| match project {
            None => reserved.sum,
            Some(project) => reserved
                .projects
                .get(project)
                .map_or_else(NanoDollars::default, |(amount, _)| *amount),
        })
    }

    /// Sets the sum that the database has reserved for a project, unless a later one is known.
    pub(super) fn set_reserved(&mut self, reserved: &ReservedTotal) {
        let all = entry(&mut self.reserved, &reserved.organization_id);
        let (amount, changes) = entry(&mut all.projects, &reserved.project_id);
        if reserved.changes <= *changes {
            return;
        }
        *changes = reserved.changes;
        let before = std::mem::replace(amount, reserved.amount);
        all.sum += reserved.amount - before;
    }

    /// Returns the accounts of an organization and of one of its projects, added if missing.
    pub(super) fn pair(
        &mut self,
        month: UnixTime,
        organization: &OrganizationId,
        project: &ProjectId,
    ) -> (&mut SpendAccount, &mut SpendAccount) {
        let all = self.months.entry(month).or_default();
        let organization = entry(all, organization);
        let project = entry(&mut organization.projects, project);
        (&mut organization.account, &mut project.account)
    }

    /// Sets a sum of the database, unless a later one is known.
    pub(super) fn set(&mut self, total: &SpendTotal) {
        let all = self.months.entry(total.month).or_default();
        let organization = entry(all, &total.organization_id);
        let project = entry(&mut organization.projects, &total.project_id);
        if total.changes <= project.changes {
            return;
        }
        project.changes = total.changes;
        let before = std::mem::replace(&mut project.account.spent, total.amount);
        if before != total.amount {
            organization.account.spent += total.amount - before;
            self.revision += 1;
            organization.revision = self.revision;
        }
    }

    /// Returns the slice of a project, added if missing.
    pub(super) fn slice(
        &mut self,
        month: UnixTime,
        organization: &OrganizationId,
        project: &ProjectId,
    ) -> &mut Slice {
        let all = self.months.entry(month).or_default();
        let organization = entry(all, organization);
        &mut entry(&mut organization.projects, project).slice
    }

    fn slice_of(&mut self, key: &SliceKey) -> &mut Slice {
        self.slice(key.month, &key.organization_id, &key.project_id)
    }

    /// Sets a slice to its amount in the database.
    pub(super) fn set_slice(&mut self, total: &SliceTotal) {
        self.slice_of(&total.key).set(total);
    }

    /// Sets slices to amounts that were read while none was being given back.
    pub(super) fn reload_slices(&mut self, totals: &[SliceTotal]) {
        for total in totals {
            self.slice_of(&total.key).reload(total);
        }
    }

    /// Takes what is free of the slices of a session that are to be given back, as `is_returned` decides by the key and
    /// by whether the slice is idle. Returns the amounts, ordered by their keys.
    pub(super) fn begin_returns(
        &mut self,
        epoch: i64,
        is_returned: impl Fn(&SliceKey, bool) -> bool,
    ) -> Vec<(SliceKey, NanoDollars)> {
        let mut returns = Vec::new();
        for (month, all) in &mut self.months {
            for (organization_id, organization) in all {
                for (project_id, project) in &mut organization.projects {
                    let slice = &mut project.slice;
                    if slice.free(epoch) == NanoDollars::default() {
                        continue;
                    }
                    let key = SliceKey {
                        month: *month,
                        organization_id: organization_id.clone(),
                        project_id: project_id.clone(),
                        epoch,
                    };
                    if is_returned(&key, slice.is_idle()) {
                        returns.push((key, slice.begin_return(epoch)));
                    }
                }
            }
        }
        returns.sort();
        returns
    }

    /// Ends the return of amounts.
    pub(super) fn end_returns(&mut self, totals: &[(SliceTotal, NanoDollars)]) {
        for (total, amount) in totals {
            self.slice_of(&total.key).end_return(total, *amount);
        }
    }

    /// Releases the reservation of a request whose cost counts.
    pub(super) fn settle(&mut self, reserved: &mut ReservationState) {
        if reserved.epoch.is_some() {
            let (organization, project) = (&reserved.organization_id, &reserved.project_id);
            let slice = self.slice(reserved.month, organization, project);
            slice.spent(reserved.amount);
        }
        self.release(reserved);
    }

    /// Releases a reservation.
    pub(super) fn release(&mut self, reserved: &mut ReservationState) {
        self.change(reserved, NanoDollars::default());
    }

    /// Sets the amount of a reservation.
    pub(super) fn change(&mut self, reserved: &mut ReservationState, amount: NanoDollars) {
        let before = std::mem::replace(&mut reserved.amount, amount);
        let all = self.months.get_mut(&reserved.month);
        let Some(organization) = all.and_then(|all| all.get_mut(&reserved.organization_id)) else {
            return;
        };
        organization.account.reserved = organization.account.reserved - before + amount;
        if let Some(project) = organization.projects.get_mut(&reserved.project_id) {
            project.account.reserved = project.account.reserved - before + amount;
            if let Some(epoch) = reserved.epoch {
                project.slice.change_reserved(epoch, before, amount);
            }
        }
    }

    /// Forgets the months before `oldest`.
    pub(super) fn forget_before(&mut self, oldest: UnixTime) {
        while let Some(month) = self.months.first_entry()
            && *month.key() < oldest
        {
            month.remove();
        }
    }

    /// Returns the number of changes in the database of the sums of `oldest` and later months and of reservations, as
    /// far as they are known here.
    pub(super) fn changes_since(&self, oldest: UnixTime) -> i64 {
        let reserved = self.reserved.values();
        let reserved = reserved.flat_map(|reserved| reserved.projects.values());
        let reserved: i64 = reserved.map(|(_, changes)| *changes).sum();
        let months = self.months.range(oldest..);
        let organizations = months.flat_map(|(_, all)| all.values());
        let projects = organizations.flat_map(|organization| organization.projects.values());
        let spent: i64 = projects.map(|project| project.changes).sum();
        spent + reserved
    }

    pub(super) fn changed_since(&self, seen: u64) -> (u64, Vec<SpendChange>) {
        let mut revision = Vec::new();
        for (start, all) in &self.months {
            for (organization_id, _) in all.iter().filter(|(_, one)| one.revision > seen) {
                revision.push(SpendChange {
                    month: Month::of(*start),
                    organization_id: organization_id.clone(),
                });
            }
        }
        (self.revision, revision)
    }
}

/// Returns the entry of a map, added if missing. The key is cloned only then.
fn entry<'a, K: Clone + Eq + Hash, V: Default>(map: &'a mut HashMap<K, V>, key: &K) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key).expect("it was put there")
}
