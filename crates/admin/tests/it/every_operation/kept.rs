//! Answers that are kept, after a change: each is what would be read anew.

use admin::operation::Effect;
use admin::operations;
use testkit::Client;

use super::example::Examples;
use super::ids::Ids;

/// The question of every operation that reads but the reports, whose answers are never kept.
pub(super) fn questions(examples: &Examples<'_>, ids: &Ids) -> Vec<String> {
    let reads = operations()
        .into_iter()
        .filter(|operation| operation.effect == Effect::Read);
    reads
        .map(|operation| examples.path(&operation, ids))
        .filter(|path| !path.contains("start_time"))
        .collect()
}

/// Asks each of them.
pub(super) async fn ask(client: &Client, questions: &[String]) {
    for question in questions {
        client.get(question).await;
    }
}

/// Which answers are not what the same question gets in words that nobody has used before.
pub(super) async fn older(client: &Client, questions: &[String], new: &str) -> Vec<String> {
    let mut older = Vec::new();
    for question in questions {
        let answer = client.get(question).await;
        let anew = client.get(&format!("{question}?{new}")).await;
        if (answer.status, &answer.json) != (anew.status, &anew.json) {
            let (answer, anew) = (answer.json, anew.json);
            older.push(format!("{question} is kept as {answer}, and is {anew}"));
        }
    }
    older
}
