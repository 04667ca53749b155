//! Random requests, against a plain list of what was spent and what is set aside.

use base::ids::{Id, OrganizationId, ProjectId};
use base::{Clock, NanoDollars, UnixTime};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Ask, Hold, Month, Shared, Spend, Total};

/// 2026-01-15T12:00:00Z.
const NOW: UnixTime = UnixTime(1_768_478_400);
const WHO: [(&str, &str); 3] = [
    ("org-a", "proj_1"),
    ("org-a", "proj_2"),
    ("org-b", "proj_3"),
];

#[derive(Clone, Debug)]
enum Step {
    /// Asks for this much, for one of [`WHO`], now or in the next month.
    Ask(usize, bool, i64),
    /// A request that was admitted ends and costs so many hundredths of what was set aside.
    End(Index, i64),
    /// A request that was admitted ends without a row.
    Drop(Index),
    /// Sets a limit: of the organization or of the project of one of [`WHO`].
    Limit(usize, bool, Option<i64>),
}

fn step(most_hundredths: i64, with_limits: bool) -> impl Strategy<Value = Step> {
    let who = || 0..WHO.len();
    let limit = prop::option::weighted(0.8, 1..200i64);
    let amount = prop_oneof![4 => 1..60i64, 1 => Just(0)];
    prop_oneof![
        6 => (who(), prop::bool::weighted(0.2), amount).prop_map(|(who, next, most)| Step::Ask(who, next, most)),
        4 => (any::<Index>(), 0..=most_hundredths).prop_map(|(which, cost)| Step::End(which, cost)),
        1 => any::<Index>().prop_map(Step::Drop),
        u32::from(with_limits) => (who(), any::<bool>(), limit).prop_map(|(who, whole, limit)| Step::Limit(who, whole, limit)),
    ]
}

/// A request: whose, in which month, and how much.
#[derive(Clone, Copy, Debug)]
struct Request {
    who: usize,
    month: Month,
    amount: i64,
}

/// The account of an organization or of a project, by its index in [`WHO`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    Organization(&'static str),
    Project(&'static str),
}

impl Account {
    fn of(who: usize) -> [Self; 2] {
        let (organization, project) = WHO[who];
        [Self::Organization(organization), Self::Project(project)]
    }
}

#[derive(Default)]
struct Model {
    limits: Vec<(Account, i64)>,
    spent: Vec<Request>,
    held: Vec<(Request, Option<Hold>)>,
    refused: Vec<(Account, Month, i64)>,
}

impl Model {
    fn limit(&self, account: Account) -> Option<i64> {
        let found = self.limits.iter().find(|(other, _)| *other == account);
        found.map(|(_, limit)| *limit)
    }

    fn sum<'a>(account: Account, month: Month, requests: impl Iterator<Item = &'a Request>) -> i64 {
        let own =
            requests.filter(|one| one.month == month && Account::of(one.who).contains(&account));
        own.map(|request| request.amount).sum()
    }

    fn spent(&self, account: Account, month: Month) -> i64 {
        Self::sum(account, month, self.spent.iter())
    }

    fn refuses(&self, account: Account, month: Month, most: i64) -> bool {
        let Some(limit) = self.limit(account) else {
            return false;
        };
        let spent = self.spent(account, month);
        let held = Self::sum(account, month, self.held.iter().map(|(request, _)| request));
        spent >= limit || (most > 0 && spent + held + most > limit)
    }

    fn ask(&mut self, spend: &Spend, who: usize, month: Month, most: i64) {
        let accounts = Account::of(who);
        let refusing = accounts
            .into_iter()
            .find(|one| self.refuses(*one, month, most));
        let limits = accounts.map(|account| self.limit(account).map(NanoDollars));
        let (organization, project) = ids(who);
        let outcome = spend.hold(&Ask {
            organization: (&organization, limits[0]),
            project: (&project, limits[1]),
            at: month.start,
            most: NanoDollars(most),
        });
        assert_eq!(outcome.is_err(), refusing.is_some(), "{who} {most}");
        let is_asked = limits.iter().any(Option::is_some);
        let clears = |account: &Account| {
            refusing.map_or(is_asked && accounts.contains(account), |one| {
                one == *account
            })
        };
        self.refused
            .retain(|(account, other, _)| *other != month || !clears(account));
        self.refused
            .extend(refusing.map(|account| (account, month, most)));
        if let Ok(hold) = outcome {
            assert_eq!(
                hold.is_some(),
                is_asked,
                "nothing is set aside without a limit"
            );
            let amount = if is_asked { most } else { 0 };
            self.held.push((Request { who, month, amount }, hold));
        }
    }

    fn end(&mut self, spend: &Spend, which: &Index, hundredths: i64) {
        if self.held.is_empty() {
            return;
        }
        let (mut request, hold) = self.held.remove(which.index(self.held.len()));
        request.amount = request.amount * hundredths / 100;
        self.spent.push(request);
        let [_, project] = Account::of(request.who);
        let ((organization_id, project_id), month) = (ids(request.who), request.month);
        let total = Total {
            month: month.start,
            organization_id,
            project_id,
            amount: NanoDollars(self.spent(project, month)),
            changes: i64::try_from(self.spent.len()).expect("few"),
        };
        spend.count(&[total], &[], hold.into_iter());
    }

    /// Whether `spend` says what the plain lists say.
    fn check(&self, spend: &Spend, months: [Month; 2]) {
        for who in 0..WHO.len() {
            let (organization, project) = ids(who);
            for (account, project) in Account::of(who).into_iter().zip([None, Some(&project)]) {
                for month in months {
                    let spent = spend.in_month(month, &organization, project);
                    assert_eq!(spent.0, self.spent(account, month));
                }
                let Some(limit) = self.limit(account) else {
                    continue;
                };
                let of_account = |(other, month, _): &&(Account, Month, i64)| {
                    *other == account && *month == months[0]
                };
                let last = self.refused.iter().find(of_account);
                let expected =
                    self.refuses(account, months[0], last.map_or(0, |(_, _, most)| *most));
                let found = spend.is_enforcing(&organization, project, NanoDollars(limit));
                assert_eq!(found, expected, "{account:?}");
            }
        }
    }
}

fn ids(who: usize) -> (OrganizationId, ProjectId) {
    let (organization, project) = WHO[who];
    let organization = OrganizationId::from_text(organization.to_owned());
    (organization, ProjectId::from_text(project.to_owned()))
}

fn run(steps: Vec<Step>, limits: Vec<(Account, i64)>) -> (Model, [Month; 2]) {
    let (clock, state) = (Clock::fake(NOW), std::sync::Mutex::default());
    let spend = Spend(std::sync::Arc::new(Shared { clock, state }));
    let month = Month::of(NOW);
    let months = [month, Month::of(month.end)];
    let mut model = Model {
        limits,
        ..Model::default()
    };
    for step in steps {
        match step {
            Step::Ask(who, is_next, most) => {
                model.ask(&spend, who, months[usize::from(is_next)], most);
            }
            Step::End(which, hundredths) => model.end(&spend, &which, hundredths),
            Step::Drop(which) if !model.held.is_empty() => {
                let index = which.index(model.held.len());
                drop(model.held.remove(index));
            }
            Step::Drop(_) => {}
            Step::Limit(who, is_whole, limit) => {
                let account = Account::of(who)[usize::from(!is_whole)];
                model.limits.retain(|(other, _)| *other != account);
                model.limits.extend(limit.map(|limit| (account, limit)));
            }
        }
        model.check(&spend, months);
    }
    (model, months)
}

proptest! {
    /// Limits come and go, and requests cost more or less than they might have.
    #[test]
    fn it_is_a_plain_list(steps in prop::collection::vec(step(150, true), 1..80)) {
        run(steps, Vec::new());
    }

    /// Where no request costs more than was set aside for it, no limit is ever passed.
    #[test]
    fn no_limit_is_passed(
        steps in prop::collection::vec(step(100, false), 1..120),
        limits in prop::array::uniform4(1..300i64),
        missing in select(&[0, 1, 2, 3, 4][..]),
    ) {
        let accounts = [Account::of(0)[0], Account::of(0)[1], Account::of(1)[1], Account::of(2)[0]];
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
