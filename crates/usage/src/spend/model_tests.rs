//! Random requests against [`Spend`] and against a model of it: plain lists of the spent and the reserved amounts.

use base::ids::{Id, OrganizationId, ProjectId};
use base::{Clock, NanoDollars, UnixTime};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{CountedSpend, Month, Shared, Spend, SpendRequest, SpendReservation, SpendTotal};

/// 2026-01-15T12:00:00Z.
const NOW: UnixTime = UnixTime(1_768_478_400);
const CONSUMERS: [(&str, &str); 3] = [
    ("org-a", "proj_1"),
    ("org-a", "proj_2"),
    ("org-b", "proj_3"),
];

#[derive(Clone, Debug)]
enum Step {
    /// A request of this maximum cost for one of [`CONSUMERS`], in this month or the next.
    Request(usize, bool, i64),
    /// The end of an admitted request that costs this many hundredths of its reservation.
    End(Index, i64),
    /// The end of an admitted request without a row in the ledger.
    Drop(Index),
    /// A change of the limit of the organization, or of the project, of one of [`CONSUMERS`].
    Limit(usize, bool, Option<i64>),
}

fn step(max_hundredths: i64, with_limits: bool) -> impl Strategy<Value = Step> {
    let who = || 0..CONSUMERS.len();
    let limit = prop::option::weighted(0.8, 1..200i64);
    let amount = prop_oneof![4 => 1..60i64, 1 => Just(0)];
    prop_oneof![
        6 => (who(), prop::bool::weighted(0.2), amount).prop_map(|(who, next, max_cost)| Step::Request(who, next, max_cost)),
        4 => (any::<Index>(), 0..=max_hundredths).prop_map(|(which, cost)| Step::End(which, cost)),
        1 => any::<Index>().prop_map(Step::Drop),
        u32::from(with_limits) => (who(), any::<bool>(), limit).prop_map(|(who, whole, limit)| Step::Limit(who, whole, limit)),
    ]
}

/// An admitted request: the index of its consumer, its month and its amount.
#[derive(Clone, Copy, Debug)]
struct Request {
    who: usize,
    month: Month,
    amount: i64,
}

/// The account of an organization or of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ModelAccount {
    Organization(&'static str),
    Project(&'static str),
}

impl ModelAccount {
    fn of(who: usize) -> [Self; 2] {
        let (organization, project) = CONSUMERS[who];
        [Self::Organization(organization), Self::Project(project)]
    }
}

#[derive(Default)]
struct Model {
    limits: Vec<(ModelAccount, i64)>,
    spent: Vec<Request>,
    reserved: Vec<(Request, Option<SpendReservation>)>,
}

impl Model {
    fn limit(&self, account: ModelAccount) -> Option<i64> {
        let found = self.limits.iter().find(|(other, _)| *other == account);
        found.map(|(_, limit)| *limit)
    }

    fn sum<'a>(
        account: ModelAccount,
        month: Month,
        requests: impl Iterator<Item = &'a Request>,
    ) -> i64 {
        let own = requests
            .filter(|one| one.month == month && ModelAccount::of(one.who).contains(&account));
        own.map(|request| request.amount).sum()
    }

    fn spent(&self, account: ModelAccount, month: Month) -> i64 {
        Self::sum(account, month, self.spent.iter())
    }

    fn refuses(&self, account: ModelAccount, month: Month, max_cost: i64) -> bool {
        let Some(limit) = self.limit(account) else {
            return false;
        };
        let spent = self.spent(account, month);
        let reserved = Self::sum(
            account,
            month,
            self.reserved.iter().map(|(request, _)| request),
        );
        spent >= limit || (max_cost > 0 && spent + reserved + max_cost > limit)
    }

    fn request(&mut self, spend: &Spend, who: usize, month: Month, max_cost: i64) {
        let accounts = ModelAccount::of(who);
        let is_refused = (accounts.iter()).any(|account| self.refuses(*account, month, max_cost));
        let limits = accounts.map(|account| self.limit(account));
        let outcome = reserve(spend, who, limits, month, max_cost);
        assert_eq!(outcome.is_err(), is_refused, "{who} {max_cost}");
        let is_limited = limits.iter().any(Option::is_some);
        if let Ok(reservation) = outcome {
            let reason = "without a limit nothing is reserved";
            assert_eq!(reservation.is_some(), is_limited, "{reason}");
            let amount = if is_limited { max_cost } else { 0 };
            let request = Request { who, month, amount };
            self.reserved.push((request, reservation));
        }
    }

    fn end(&mut self, spend: &Spend, which: &Index, hundredths: i64) {
        if self.reserved.is_empty() {
            return;
        }
        let (mut request, reservation) = self.reserved.remove(which.index(self.reserved.len()));
        request.amount = request.amount * hundredths / 100;
        self.spent.push(request);
        let [_, project] = ModelAccount::of(request.who);
        let ((organization_id, project_id), month) = (ids(request.who), request.month);
        let total = SpendTotal {
            month: month.start,
            organization_id,
            project_id,
            amount: NanoDollars(self.spent(project, month)),
            changes: i64::try_from(self.spent.len()).expect("few"),
        };
        let totals = [total];
        let counted = CountedSpend {
            totals: &totals,
            ..CountedSpend::default()
        };
        spend.count(counted, reservation.into_iter());
    }

    /// Asserts that `spend` has the amounts of the model, and refuses exactly the requests that the model refuses.
    fn check(&self, spend: &Spend, months: [Month; 2]) {
        for who in 0..CONSUMERS.len() {
            let (organization, project) = ids(who);
            let accounts = ModelAccount::of(who);
            for (account, project) in accounts.into_iter().zip([None, Some(&project)]) {
                for month in months {
                    let spent = spend.in_month(month, &organization, project);
                    assert_eq!(spent.0, self.spent(account, month));
                }
                let Some(limit) = self.limit(account) else {
                    continue;
                };
                let limits = accounts.map(|other| (other == account).then_some(limit));
                for max_cost in [0, 1, 30] {
                    let outcome = reserve(spend, who, limits, months[0], max_cost);
                    let expected = self.refuses(account, months[0], max_cost);
                    assert_eq!(outcome.is_err(), expected, "{account:?} {max_cost}");
                }
            }
        }
    }
}

/// Reserves `max_cost` for a consumer, with limits of its organization and its project.
fn reserve(
    spend: &Spend,
    who: usize,
    limits: [Option<i64>; 2],
    month: Month,
    max_cost: i64,
) -> base::Result<Option<SpendReservation>> {
    let limits = limits.map(|limit| limit.map(NanoDollars));
    let (organization, project) = ids(who);
    spend.reserve_locally(&SpendRequest {
        organization: (&organization, limits[0]),
        project: (&project, limits[1]),
        at: month.start,
        max_cost: NanoDollars(max_cost),
    })
}

fn ids(who: usize) -> (OrganizationId, ProjectId) {
    let (organization, project) = CONSUMERS[who];
    let organization = OrganizationId::from_text(organization.to_owned());
    (organization, ProjectId::from_text(project.to_owned()))
}

fn run(steps: Vec<Step>, limits: Vec<(ModelAccount, i64)>) -> (Model, [Month; 2]) {
    let spend = Spend(std::sync::Arc::new(Shared {
        clock: Clock::fake(NOW),
        state: std::sync::Mutex::default(),
        shared: std::sync::OnceLock::new(),
    }));
    let month = Month::of(NOW);
    let months = [month, Month::of(month.end)];
    let mut model = Model {
        limits,
        ..Model::default()
    };
    for step in steps {
        match step {
            Step::Request(who, is_next, max_cost) => {
                model.request(&spend, who, months[usize::from(is_next)], max_cost);
            }
            Step::End(which, hundredths) => model.end(&spend, &which, hundredths),
            Step::Drop(which) if !model.reserved.is_empty() => {
                let index = which.index(model.reserved.len());
                drop(model.reserved.remove(index));
            }
            Step::Drop(_) => {}
            Step::Limit(who, is_whole, limit) => {
                let account = ModelAccount::of(who)[usize::from(!is_whole)];
                model.limits.retain(|(other, _)| *other != account);
                model.limits.extend(limit.map(|limit| (account, limit)));
            }
        }
        model.check(&spend, months);
    }
    (model, months)
}

proptest! {
    /// Limits come and go, and requests cost more or less than was reserved.
    #[test]
    fn spend_equals_the_model(steps in prop::collection::vec(step(150, true), 1..80)) {
        run(steps, Vec::new());
    }

    /// Requests cost at most what was reserved, so no limit is ever exceeded.
    #[test]
    fn no_limit_is_exceeded(
        steps in prop::collection::vec(step(100, false), 1..120),
        limits in prop::array::uniform4(1..300i64),
        missing in select(&[0, 1, 2, 3, 4][..]),
    ) {
        let accounts = [ModelAccount::of(0)[0], ModelAccount::of(0)[1], ModelAccount::of(1)[1], ModelAccount::of(2)[0]];
        let mut limits: Vec<_> = accounts.into_iter().zip(limits).collect();
        if missing < limits.len() {
            limits.remove(missing);
        }
        let (model, months) = run(steps, limits.clone());
        for (account, limit) in limits {
            for month in months {
                prop_assert!(model.spent(account, month) <= limit, "{account:?}");
            }
        }
    }
}
