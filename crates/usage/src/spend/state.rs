//! What is in memory: for each month, what each organization and each of its projects has spent.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};

use super::{Held, Month, Moved, Reserved, Total};

/// The months that are remembered, by their first seconds. Only those have a place who spent, or may in a moment.
#[derive(Default)]
pub(super) struct State {
    months: BTreeMap<UnixTime, HashMap<OrganizationId, Organization>>,
    /// The money that is reserved in the database, in whichever month it will be spent.
    reserved: HashMap<OrganizationId, ReservedByProject>,
    /// The month of the last request, so that the calendar is not asked about each.
    current: Option<Month>,
    /// How often what an organization has spent has changed.
    moves: u64,
}

#[derive(Default)]
struct Organization {
    account: Account,
    projects: HashMap<ProjectId, Project>,
    /// What [`State::moves`] was when what it has spent changed last.
    moved: u64,
}

#[derive(Default)]
struct Project {
    account: Account,
    /// As in the database.
    changes: i64,
}

/// The money that is reserved in the database for an organization.
#[derive(Default)]
struct ReservedByProject {
    sum: NanoDollars,
    /// The amount of each project, and how often it has changed.
    projects: HashMap<ProjectId, (NanoDollars, i64)>,
}

/// The money of an organization or of a project in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// What is in the ledger.
    pub(super) spent: NanoDollars,
    /// What is set aside for requests under way.
    pub(super) held: NanoDollars,
    /// What the last request that asked may have cost, if there was no room for it.
    pub(super) refused: Option<NanoDollars>,
}

impl Account {
    /// Whether there is room for a request that may cost `most`. One that costs nothing needs none, but is refused as
    /// all are once the limit is reached.
    pub(super) fn admits(self, limit: NanoDollars, most: NanoDollars) -> bool {
        let is_free = most == NanoDollars::default();
        self.spent < limit && (is_free || self.spent + self.held + most <= limit)
    }

    /// The account as if what is reserved in the database were set aside here.
    pub(super) fn with_reserved(self, reserved: NanoDollars) -> Self {
        Self {
            held: self.held + reserved,
            ..self
        }
    }

    /// Whether the last request that was refused would be refused now.
    pub(super) fn is_enforcing(self, limit: NanoDollars) -> bool {
        !self.admits(limit, self.refused.unwrap_or_default())
    }
}

impl State {
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
    ) -> Account {
        let all = self.months.get(&month);
        let Some(organization) = all.and_then(|all| all.get(organization)) else {
            return Account::default();
        };
        let project = project.map(|project| organization.projects.get(project));
        project.map_or(organization.account, |project| {
            project.map_or_else(Account::default, |project| project.account)
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

    /// Takes in what the database has reserved for a project, unless a later amount is known.
    pub(super) fn set_reserved(&mut self, reserved: &Reserved) {
        let all = place(&mut self.reserved, &reserved.organization_id);
        let (amount, changes) = place(&mut all.projects, &reserved.project_id);
        if reserved.changes <= *changes {
            return;
        }
        *changes = reserved.changes;
        let before = std::mem::replace(amount, reserved.amount);
        all.sum += reserved.amount - before;
    }

    /// The accounts of an organization and of one of its projects.
    pub(super) fn pair(
        &mut self,
        month: UnixTime,
        organization: &OrganizationId,
        project: &ProjectId,
    ) -> (&mut Account, &mut Account) {
        let all = self.months.entry(month).or_default();
        let organization = place(all, organization);
        let project = place(&mut organization.projects, project);
        (&mut organization.account, &mut project.account)
    }

    /// Takes in a sum of the database, unless a later one is known.
    pub(super) fn set(&mut self, total: &Total) {
        let all = self.months.entry(total.month).or_default();
        let organization = place(all, &total.organization_id);
        let project = place(&mut organization.projects, &total.project_id);
        if total.changes <= project.changes {
            return;
        }
        project.changes = total.changes;
        let before = std::mem::replace(&mut project.account.spent, total.amount);
        if before != total.amount {
            organization.account.spent += total.amount - before;
            self.moves += 1;
            organization.moved = self.moves;
        }
    }

    /// Gives back what was set aside.
    pub(super) fn release(&mut self, held: &mut Held) {
        self.change(held, NanoDollars::default());
    }

    /// Sets aside `amount` instead of what was set aside.
    pub(super) fn change(&mut self, held: &mut Held, amount: NanoDollars) {
        let before = std::mem::replace(&mut held.amount, amount);
        let all = self.months.get_mut(&held.month);
        let Some(organization) = all.and_then(|all| all.get_mut(&held.organization_id)) else {
            return;
        };
        organization.account.held = organization.account.held - before + amount;
        if let Some(project) = organization.projects.get_mut(&held.project_id) {
            project.account.held = project.account.held - before + amount;
        }
    }

    /// Forgets the months before this one.
    pub(super) fn forget_before(&mut self, oldest: UnixTime) {
        while let Some(month) = self.months.first_entry()
            && *month.key() < oldest
        {
            month.remove();
        }
    }

    /// The sum of `changes` of this month and later ones, and of what is reserved.
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

    pub(super) fn moved_since(&self, seen: u64) -> (u64, Vec<Moved>) {
        let mut moved = Vec::new();
        for (start, all) in &self.months {
            for (organization_id, _) in all.iter().filter(|(_, one)| one.moved > seen) {
                moved.push(Moved {
                    month: Month::of(*start),
                    organization_id: organization_id.clone(),
                });
            }
        }
        (self.moves, moved)
    }
}

/// What a map has for this key. The key is copied only when there is nothing yet.
fn place<'a, K: Clone + Eq + Hash, V: Default>(map: &'a mut HashMap<K, V>, key: &K) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key).expect("it was put there")
}
