//! Every order in which threads can come to the limiter.

use access::LimitField::RequestsPerMinute;
use base::ids::Id;
use loom::thread;

use super::*;

/// A project, and models with so many requests a minute each.
#[derive(Clone)]
struct World {
    limiter: Arc<Limiter>,
    project: Arc<Project>,
    limits: ModelLimits,
}

impl World {
    fn new(requests: i64) -> Self {
        let mut limits = ModelLimits::default();
        limits.set(RequestsPerMinute, requests);
        Self {
            limiter: Limiter::new(),
            project: Arc::new(Project {
                id: ProjectId::from_text("proj_1".into()),
                is_archived: false,
            }),
            limits,
        }
    }

    fn reserve(&self, now: u64, models: &[&str]) -> Option<Held> {
        let limits = self.limits;
        let names = models.iter().map(|model| Name { model, limits });
        let names: Vec<Name<'_>> = names.collect();
        let amounts = Amounts::default().with_requests(1);
        let wanted = Wanted {
            amounts,
            assumed_tokens: 0,
        };
        let (held, _) = self.limiter.reserve_at(now, &self.project, &names, &wanted);
        held.ok()
    }

    /// How many more requests pass.
    fn left(&self, now: u64, model: &str) -> usize {
        let more = std::iter::from_fn(|| self.reserve(now, &[model]));
        more.map(Held::leave).count()
    }
}

#[test]
fn as_many_pass_as_the_limit_says() {
    loom::model(|| {
        let world = World::new(2);
        let others = [1, 2].map(|now| {
            let world = world.clone();
            thread::spawn(move || world.reserve(now, &["m"]).map(Held::leave).is_some())
        });
        let own = world.reserve(0, &["m"]).map(Held::leave).is_some();
        let passed = others.map(|other| other.join().expect("a thread"));
        let passed = passed.into_iter().chain([own]).filter(|passed| *passed);
        assert_eq!(passed.count(), 2);
        assert_eq!(world.left(60_999, "m"), 0);
    });
}

#[test]
fn two_names_are_taken_together_in_any_order() {
    loom::model(|| {
        let world = World::new(1);
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                world
                    .reserve(0, &["alias", "real"])
                    .map(Held::leave)
                    .is_some()
            })
        };
        let own = world.reserve(0, &["real", "alias"]).map(Held::leave);
        assert!(own.is_some() != other.join().expect("a thread"));
        assert_eq!((world.left(0, "real"), world.left(0, "alias")), (0, 0));
    });
}

#[test]
fn what_is_held_ends_once_whoever_ends_it() {
    loom::model(|| {
        let world = World::new(3);
        let [dropped, settled, left] = [(); 3].map(|()| world.reserve(0, &["m"]).expect("room"));
        let first = thread::spawn(move || drop(dropped));
        let second = thread::spawn(move || settled.settle_at(2_000, &Amounts::nothing()));
        left.leave();
        // Whatever was given back by now can be taken again, and nothing else.
        let taken = world.left(1_000, "m");
        assert!(taken <= 2);
        first.join().expect("a thread");
        second.join().expect("a thread");
        assert_eq!(taken + world.left(1_000, "m"), 2);
    });
}
