//! A budget that many requests share: bounded in sum, and bounded for each key and each project, so that no tenant can use
//! all of it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;

/// The bounds of a [`Budget`], in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// The bound of all permits together.
    pub total: u64,
    /// The bound of the permits of one key.
    pub per_key: u64,
    /// The bound of the permits of one project.
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

/// The bound of a [`Budget`] that a request would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The bound of all requests together.
    Total,
    /// The bound of the request's key, which is this much.
    Key(u64),
    /// The bound of the request's project, which is this much.
    Project(u64),
}

impl Exhausted {
    /// Returns the refusal of a request: 429 for a bound of its own tenant, 503 for that of all. `what` begins a sentence,
    /// such as "The bytes of request bodies under way".
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

/// A budget that many requests share. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: BudgetLimits,
    hasher: RandomState,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: u64,
    /// The use of each tenant, by the tenant's hash; a tenant that uses nothing has no entry.
    tenants: HashMap<u64, u64>,
}

/// The tenants that a permit is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Charged {
    key: u64,
    project: Option<u64>,
}

impl Budget {
    /// Returns a budget with these limits, of which nothing is used.
    #[must_use]
    pub fn new(limits: BudgetLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            hasher: RandomState::new(),
            used: Mutex::default(),
        }))
    }

    /// Takes `amount` for a request of `key`, in `project` if the key belongs to one. The permit gives it back when dropped.
    ///
    /// # Errors
    /// The bound that would be exceeded; nothing is taken then.
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

    /// The limits that hold.
    #[must_use]
    pub fn limits(&self) -> BudgetLimits {
        self.0.limits
    }

    /// The sum of all permits.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // The sums are whole between any two statements.
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
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

/// A part of a [`Budget`], given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct BudgetPermit {
    budget: Budget,
    charged: Charged,
    amount: u64,
}

impl BudgetPermit {
    /// Takes more for the same request.
    ///
    /// # Errors
    /// The bound that would be exceeded; the permit stays as it is then.
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

    /// Gives back what is more than `amount`.
    pub fn shrink_to(&mut self, amount: u64) {
        let by = self.amount.saturating_sub(amount);
        if by > 0 {
            self.budget.lock().remove(self.charged, by);
            self.amount -= by;
        }
    }

    /// The sum of the permits of the project that this one is charged to; 0 where there is none.
    #[must_use]
    pub fn used_by_project(&self) -> u64 {
        let used = self.budget.lock();
        self.charged.project.map_or(0, |project| used.of(project))
    }

    /// The amount that the permit holds.
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
    fn no_key_and_no_project_can_use_all_of_it() {
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
    fn a_refusal_says_whose_bound_was_reached() {
        let of_key = Exhausted::Key(7).refusal("The requests under way");
        assert_eq!((of_key.status.as_u16(), of_key.retry_after), (429, Some(1)));
        assert!(of_key.message.contains("at most 7 for one API key"));
        let of_all = Exhausted::Total.refusal("The requests under way");
        assert_eq!((of_all.status.as_u16(), of_all.retry_after), (503, Some(1)));
    }

    #[test]
    fn a_key_and_a_project_of_the_same_name_are_two() {
        let budget = budget();
        let _key = budget.take("x", None, 30).expect("within all bounds");
        let other = budget.take("y", Some("x"), 30);
        assert!(other.is_ok(), "{other:?}");
    }
}
