//! Budgets of a resource that concurrent requests share, such as memory. A budget is bounded in total, for each key and for
//! each project, so that no tenant can exhaust it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;

/// Limits of a [`Budget`], in the budget's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Limit of all permits together.
    pub total: u64,
    /// Limit of the permits of one key.
    pub per_key: u64,
    /// Limit of the permits of one project.
    pub per_project: u64,
}

impl BudgetLimits {
    /// Returns the limits of a budget of `total`, of which a key may use an eighth and a project a quarter.
    #[must_use]
    pub fn shared(total: u64) -> Self {
        Self {
            total,
            per_key: total / 8,
            per_project: total / 4,
        }
    }
}

/// The limit of a [`Budget`] that a request would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// Limit of all requests together.
    Total,
    /// Limit of the request's key, with its value.
    Key(u64),
    /// Limit of the request's project, with its value.
    Project(u64),
}

impl Exhausted {
    /// Returns the refusal of a request: 429 for the limit of a key or project, 503 for the total limit. `what` is the
    /// subject of a sentence, such as "The bytes of request bodies under way".
    #[must_use]
    pub fn refusal(self, what: &str) -> Error {
        let of_tenant = |tenant: &str, limit: u64| {
            let message = format!(
                "{what} are at most {limit} for one {tenant}, and that is reached. Send less at once, or try again in a \
                 second."
            );
            Error::rate_limited("requests", message, Some(1))
        };
        match self {
            Self::Key(limit) => of_tenant("API key", limit),
            Self::Project(limit) => of_tenant("project", limit),
            Self::Total => {
                let message = format!(
                    "{what} are as many as this server takes on at once. Try again in a second."
                );
                Error::overloaded(message, 1)
            }
        }
    }
}

/// A budget that concurrent requests share. Clones share the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<BudgetState>);

#[derive(Debug)]
struct BudgetState {
    limits: BudgetLimits,
    hasher: RandomState,
    used: Mutex<BudgetUse>,
}

#[derive(Debug, Default)]
struct BudgetUse {
    total: u64,
    /// Use by the hash of the key or project. Entries of 0 are removed.
    tenants: HashMap<u64, u64>,
}

/// The tenants that a permit is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Charged {
    key: u64,
    project: Option<u64>,
}

impl Budget {
    /// Creates a budget with these limits.
    #[must_use]
    pub fn new(limits: BudgetLimits) -> Self {
        Self(Arc::new(BudgetState {
            limits,
            hasher: RandomState::new(),
            used: Mutex::default(),
        }))
    }

    /// Takes `amount` for a request of `key`, in `project` if the key belongs to one. Dropping the permit returns the amount.
    ///
    /// # Errors
    /// The limit that would be exceeded; nothing is taken then.
    pub fn take(
        &self,
        key: &str,
        project: Option<&str>,
        amount: u64,
    ) -> Result<BudgetPermit, Exhausted> {
        let hash = |kind: u8, id: &str| self.0.hasher.hash_one((kind, id));
        let charged = Charged {
            key: hash(0, key),
            project: project.map(|id| hash(1, id)),
        };
        let mut permit = BudgetPermit {
            budget: self.clone(),
            charged,
            amount: 0,
        };
        permit.grow(amount)?;
        Ok(permit)
    }

    /// Returns the limits.
    #[must_use]
    pub fn limits(&self) -> BudgetLimits {
        self.0.limits
    }

    /// Returns the sum of all permits.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, BudgetUse> {
        // No code panics between changes that belong together, so a poisoned lock guards consistent sums.
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BudgetUse {
    fn of(&self, tenant: u64) -> u64 {
        self.tenants.get(&tenant).copied().unwrap_or(0)
    }

    fn check(&self, limits: &BudgetLimits, charged: Charged, by: u64) -> Result<(), Exhausted> {
        let exceeds = |used: u64, limit: u64| used.checked_add(by).is_none_or(|sum| sum > limit);
        if exceeds(self.of(charged.key), limits.per_key) {
            return Err(Exhausted::Key(limits.per_key));
        }
        if charged
            .project
            .is_some_and(|project| exceeds(self.of(project), limits.per_project))
        {
            return Err(Exhausted::Project(limits.per_project));
        }
        if exceeds(self.total, limits.total) {
            return Err(Exhausted::Total);
        }
        Ok(())
    }

    fn add(&mut self, charged: Charged, by: u64) {
        self.total += by;
        for tenant in [Some(charged.key), charged.project].into_iter().flatten() {
            *self.tenants.entry(tenant).or_default() += by;
        }
    }

    fn remove(&mut self, charged: Charged, by: u64) {
        self.total -= by;
        for tenant in [Some(charged.key), charged.project].into_iter().flatten() {
            if let Some(used) = self.tenants.get_mut(&tenant) {
                *used -= by;
                if *used == 0 {
                    self.tenants.remove(&tenant);
                }
            }
        }
    }
}

/// An amount taken from a [`Budget`], returned on drop.
#[derive(Debug)]
#[must_use]
pub struct BudgetPermit {
    budget: Budget,
    charged: Charged,
    amount: u64,
}

impl BudgetPermit {
    /// Takes `by` more for the same request.
    ///
    /// # Errors
    /// The limit that would be exceeded; the permit is unchanged then.
    pub fn grow(&mut self, by: u64) -> Result<(), Exhausted> {
        if by == 0 {
            return Ok(());
        }
        let mut used = self.budget.lock();
        used.check(&self.budget.0.limits, self.charged, by)?;
        used.add(self.charged, by);
        self.amount += by;
        Ok(())
    }

    /// Returns the excess over `amount` to the budget.
    pub fn shrink_to(&mut self, amount: u64) {
        let by = self.amount.saturating_sub(amount);
        if by > 0 {
            self.budget.lock().remove(self.charged, by);
            self.amount -= by;
        }
    }

    /// Moves the whole amount to the returned permit; this one is empty then.
    pub fn take_all(&mut self) -> Self {
        Self {
            budget: self.budget.clone(),
            charged: self.charged,
            amount: std::mem::take(&mut self.amount),
        }
    }

    /// Returns the sum of all permits of the same project; 0 without a project.
    #[must_use]
    pub fn used_by_project(&self) -> u64 {
        let used = self.budget.lock();
        self.charged.project.map_or(0, |project| used.of(project))
    }

    /// Returns the amount that the permit holds.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for BudgetPermit {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new(BudgetLimits {
            total: 100,
            per_key: 30,
            per_project: 50,
        })
    }

    #[test]
    fn no_key_and_no_project_can_exhaust_a_budget() {
        let budget = budget();
        let first = budget.take("a", Some("p"), 30).expect("within all bounds");
        let refused = |key, project, amount| budget.take(key, project, amount).err();
        assert_eq!(refused("a", Some("p"), 1), Some(Exhausted::Key(30)));
        let second = budget.take("b", Some("p"), 20).expect("within all bounds");
        assert_eq!(second.used_by_project(), 50);
        assert_eq!(refused("b", Some("p"), 1), Some(Exhausted::Project(50)));
        let third = budget.take("c", Some("q"), 30).expect("within all bounds");
        let fourth = budget.take("d", None, 20).expect("within all bounds");
        assert_eq!(refused("e", Some("r"), 1), Some(Exhausted::Total));
        assert_eq!(budget.used(), 100);
        drop((first, second, third, fourth));
        assert_eq!(budget.used(), 0);
        assert!(budget.lock().tenants.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_permit_grows_within_the_bounds_and_shrinks() {
        let budget = budget();
        let mut permit = budget.take("a", None, 10).expect("within all bounds");
        permit.grow(20).expect("within all bounds");
        assert_eq!(permit.grow(1), Err(Exhausted::Key(30)));
        assert_eq!(permit.grow(u64::MAX), Err(Exhausted::Key(30)));
        assert_eq!((permit.amount(), budget.used()), (30, 30));
        permit.shrink_to(5);
        permit.shrink_to(40);
        assert_eq!((permit.amount(), budget.used()), (5, 5));
    }

    #[test]
    fn a_refusal_names_the_limit_that_was_reached() {
        let of_key = Exhausted::Key(7).refusal("The requests under way");
        assert_eq!((of_key.status.as_u16(), of_key.retry_after), (429, Some(1)));
        assert!(of_key.message.contains("at most 7 for one API key"));
        let of_all = Exhausted::Total.refusal("The requests under way");
        assert_eq!((of_all.status.as_u16(), of_all.retry_after), (503, Some(1)));
    }

    #[test]
    fn a_key_and_a_project_of_the_same_name_are_charged_separately() {
        let budget = budget();
        let _key = budget.take("x", None, 30).expect("within all bounds");
        let other = budget.take("y", Some("x"), 30);
        assert!(other.is_ok(), "{other:?}");
    }
}
