//! Rules for the pages of all lists.

use testkit::Server;
use testkit::examples::{Examples, Ids};

use super::lists::{List, Page, lists};

/// Number of items that are added to each list.
const ADDED_COUNT: usize = 7;

/// Adds items and returns their cursors.
async fn fill(list: &List<'_>) -> Vec<String> {
    let before = list.whole("").await;
    if list.grows() {
        for _ in 0..ADDED_COUNT {
            list.add().await;
        }
    }
    let mut keys = list.whole("").await;
    assert!(
        keys.len() >= ADDED_COUNT,
        "{}: {keys:?}",
        list.operation.command
    );
    keys.retain(|key| !before.contains(key));
    keys
}

/// Reads a list from its last item, each page `before` the first item of the following one.
async fn backwards(list: &List<'_>, limit: usize, order: &str, last: &str) -> Vec<String> {
    let mut seen = vec![last.to_owned()];
    loop {
        let page = list
            .page(&format!("limit={limit}{order}&before={}", seen[0]))
            .await;
        assert!(page.keys.len() == limit || !page.has_more);
        seen.splice(0..0, page.keys);
        if !page.has_more {
            return seen;
        }
    }
}

#[tokio::test]
async fn pages_have_each_item_once_and_in_order() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    for list in lists(&examples, &ids) {
        fill(&list).await;
        let mut orders = Vec::new();
        for order in list.orders() {
            let whole = list.whole(order).await;
            for limit in 1..=3 {
                let command = format!("{} {order} {limit}", list.operation.command);
                assert_eq!(list.forwards(limit, order).await, whole, "{command}");
                if list.has("before") {
                    let last = whole.last().expect("items");
                    let seen = backwards(&list, limit, order, last).await;
                    assert_eq!(seen, whole, "{command}");
                    let between = format!("after={}&before={}{order}", whole[1], whole[5]);
                    assert_eq!(list.page(&between).await.keys, whole[2..5], "{command}");
                }
            }
            orders.push(whole);
        }
        assert!(
            orders.contains(&list.whole("").await),
            "the default is one of the orders"
        );
        if let [ascending, descending] = &mut orders[..] {
            descending.reverse();
            assert_eq!(ascending, descending, "{}", list.operation.command);
        }
    }
}

#[tokio::test]
async fn items_are_listed_once_while_others_are_added_and_removed() {
    // Each list has its own server, because numbers of resources are bounded.
    for index in 0.. {
        let server = Server::start().await;
        let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
        let mut growing = lists(&examples, &ids).into_iter().filter(List::grows);
        let Some(list) = growing.nth(index) else {
            break;
        };
        for order in list.orders() {
            come_and_go(&list, order).await;
        }
    }
}

async fn come_and_go(list: &List<'_>, order: &str) {
    let mut removable = fill(list).await;
    let mut stay = list.whole(order).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list.page(&format!("limit=2{order}{cursor}")).await;
        let last = page.keys.last().expect("no page is empty").clone();
        cursor = format!("&after={last}");
        seen.extend(page.keys);
        if !page.has_more {
            break;
        }
        list.add().await;
        // An item that has been listed, then one that has not; cursors must remain.
        removable.retain(|key| *key != last);
        removable.reverse();
        if let Some(key) = removable.pop()
            && list.remove(&key).await
        {
            stay.retain(|other| *other != key);
        }
    }
    let command = list.operation.command;
    for key in &seen {
        let times = seen.iter().filter(|other| *other == key).count();
        assert_eq!(times, 1, "{command}{order}: {key} in {seen:?}");
    }
    seen.retain(|key| stay.contains(key));
    assert_eq!(seen, stay, "{command}{order}");
}

#[tokio::test]
async fn limit_of_lists_is_bounded() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    for list in lists(&examples, &ids) {
        fill(&list).await;
        let command = list.operation.command;
        let least = list.parameters["limit"]["minimum"].as_i64();
        let least = least.expect("our document says the least");
        for limit in [&(least - 1).to_string(), "-1", "x", "1.5", "1e9"] {
            let answer = list.get(&format!("limit={limit}")).await;
            assert_eq!(answer.refused(400).1, Some("limit"), "{command} {limit}");
        }
        if least == 0 {
            let page = list.page("limit=0").await;
            assert_eq!(
                page,
                Page {
                    keys: vec![],
                    has_more: true
                },
                "{command}"
            );
        }
        let default = list.page("").await;
        assert_eq!(list.page("limit=").await, default, "{command}");
        // A limit beyond the maximum counts as the maximum.
        let most = list.page("limit=1000000000").await;
        assert_eq!(list.page("limit=9223372036854775808").await, most);
        let most = most.keys;
        assert!(most.len() >= default.keys.len() && list.whole("").await.starts_with(&most));
    }
}

#[tokio::test]
async fn a_cursor_must_be_an_item_of_the_list() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    let mut cursors = vec!["nope".to_owned(), "%00".to_owned(), "x".repeat(3000)];
    let theirs = Examples::by(&server, server.stranger());
    for list in lists(&theirs, &ids) {
        if list.operation.path_parameters().next().is_none() {
            list.add().await;
            cursors.extend(list.whole("").await);
        }
    }
    let lists = lists(&examples, &ids);
    for list in &lists {
        cursors.extend(list.whole("").await.pop());
    }
    for list in lists {
        let command = list.operation.command;
        let whole = list.whole("").await;
        for name in ["after", "before"]
            .into_iter()
            .filter(|name| list.has(name))
        {
            for cursor in cursors.iter().filter(|cursor| !whole.contains(cursor)) {
                let answer = list.get(&format!("{name}={cursor}")).await;
                assert_eq!(answer.refused(400).1, Some(name), "{command} {cursor}");
            }
            // The page after the last item, or before the first, is empty.
            let edge = if name == "after" {
                whole.last()
            } else {
                whole.first()
            };
            let page = list.page(&format!("{name}={}", edge.expect("items"))).await;
            assert_eq!(
                page,
                Page {
                    keys: vec![],
                    has_more: false
                },
                "{command}"
            );
        }
    }
}
