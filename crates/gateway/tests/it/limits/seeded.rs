//! A hundred crowds of clients, each in an order that is seeded by its number: none takes more than its limit.

use base::Entropy;
use poll::ScenarioDelay;

use super::*;

const RUN_COUNT: u64 = 100;

/// The requests of one crowd, for a model of its own.
struct Run {
    seed: u64,
    field: &'static str,
    limit: i64,
    /// The number of requests of each client.
    times: u64,
    body: String,
}

impl Run {
    /// Returns a random run. One in ten has a high limit, which takes most of the time of the test.
    fn number(seed: u64) -> Self {
        let (requests, tokens) = ("max_requests_per_1_minute", "max_tokens_per_1_minute");
        let (field, limit, times) = match seed % 10 {
            0 => (requests, 1000, 3),
            1..=3 => (requests, 1, 1),
            4..=6 => (requests, 20, 1),
            _ => (tokens, 1000, 1),
        };
        let body = HUNDRED.replace("real", &format!("run-{seed}"));
        Self {
            seed,
            field,
            limit,
            times,
            body,
        }
    }

    /// Returns the name of the run's model.
    fn model(&self) -> String {
        format!("run-{}", self.seed)
    }

    /// Returns the number of admitted requests.
    async fn crowd(&self, world: &Arc<World>) -> usize {
        let chance = Entropy::seeded(self.seed);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENT_COUNT {
            let (world, body, times) = (Arc::clone(world), self.body.clone(), self.times);
            let [delay, yields] = chance.bytes::<2>();
            clients.spawn(async move {
                let mut passed = 0;
                let delay = Duration::from_millis(u64::from(delay % 4));
                ScenarioDelay(delay).elapse().await;
                for _ in 0..times {
                    for _ in 0..yields % 8 {
                        tokio::task::yield_now().await;
                    }
                    let status = world.chat(&body).await.status.as_u16();
                    assert!(status == 200 || status == 429, "{status}");
                    passed += usize::from(status == 200);
                }
                passed
            });
        }
        clients.join_all().await.into_iter().sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crowd_takes_more_than_its_limit() {
    let runs: Vec<Run> = (0..RUN_COUNT).map(Run::number).collect();
    let all = |url| {
        let mut config = config("all", url);
        config.models = runs.iter().map(Run::model).collect();
        vec![config]
    };
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Batched, all).await;
    let world = Arc::new(world);
    for run in &runs {
        world.limit(&run.model(), run.field, run.limit).await;
    }
    let mut all = 0;
    for run in &runs {
        let passed = run.crowd(&world).await;
        // Rows that wait for a slow database count towards the concurrent requests of the key, whose bound is little higher than a
        // crowd needs.
        world.recorder.flush().await;
        all += passed;
        let (seed, limit) = (run.seed, usize::try_from(run.limit).expect("a count"));
        if run.field.contains("requests") {
            assert_eq!(passed, limit, "run {seed}");
        } else {
            // Each request reserves 100 tokens until its usage of 18 is known.
            assert!((10..=limit / 18).contains(&passed), "run {seed}: {passed}");
        }
    }
    assert_eq!(world.rows(all).await.len(), world.upstream.asked().len());
}
