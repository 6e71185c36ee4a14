//! What becomes of a task, step by step.

use super::*;
use crate::auth::Caller;
use crate::catalog::Question as Asked;

fn begin(tasks: &Tasks, caller: &Caller) -> Arc<Task> {
    tasks.begin(&Grant::whole(caller.clone()), CancellationToken::new(), SystemTime::now()).unwrap()
}

fn needed(keys: &[&str]) -> Needed {
    let question = Asked { method: "elicitation/create".to_owned(), params: json!({}) };
    Needed { questions: keys.iter().map(|key| ((*key).to_owned(), question.clone())).collect(), state: None }
}

fn answers(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn a_task_is_its_callers_and_ends_once() {
    let tasks = Tasks::default();
    let task = begin(&tasks, &Caller::Anonymous);
    assert!(tasks.find(&task.id, &Grant::whole(Caller::Anonymous), SystemTime::now()).is_some());
    assert!(tasks.find(&task.id, &Grant::whole(Caller::Key("a".into())), SystemTime::now()).is_none());
    assert!(tasks.find("", &Grant::whole(Caller::Anonymous), SystemTime::now()).is_none());
    let told = task.to_json(true);
    assert_eq!((&told["status"], &told["ttlMs"]), (&json!("working"), &json!(86_400_000)));
    assert!(told["createdAt"].as_str().unwrap().ends_with('Z'), "{told}");
    task.complete(json!({"content": []}));
    task.cancel();
    task.fail(RpcError::new(-1, "late"));
    assert_eq!(task.to_json(true)["status"], "completed");
    assert_eq!(task.to_json(true)["result"], json!({"content": []}));
    assert!(task.to_json(false).get("result").is_none());
    let failed = begin(&tasks, &Caller::Anonymous);
    failed.fail(RpcError::new(-7, "no").with_data(json!(1)));
    assert_eq!(failed.to_json(true)["error"], json!({"code": -7, "message": "no", "data": 1}));
}

#[tokio::test]
async fn questions_are_answered_one_by_one_and_strangers_passed_over() {
    let tasks = Tasks::default();
    let task = begin(&tasks, &Caller::Anonymous);
    task.answer(answers(json!({"early": {}}))).unwrap();
    let tracker = tokio_util::task::TaskTracker::new();
    let asking = tracker.spawn({
        let task = Arc::clone(&task);
        async move { task.ask(&needed(&["one", "two"])).await }
    });
    while task.to_json(false)["status"] != "input_required" {
        tokio::task::yield_now().await;
    }
    let unfit = json!({"one": {"action": "accept"}, "two": {"action": 7}});
    assert_eq!(task.answer(answers(unfit)), Err("two".to_owned()));
    task.answer(answers(json!({"one": {"action": "accept"}, "stranger": {}}))).unwrap();
    let told = task.to_json(true);
    assert_eq!(told["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["two"]);
    task.answer(answers(json!({"two": {"action": "decline"}}))).unwrap();
    let all = asking.await.unwrap().unwrap();
    assert_eq!(Value::Object(all), json!({"one": {"action": "accept"}, "two": {"action": "decline"}}));
    assert_eq!(task.to_json(true)["status"], "working");
    let asking = tracker.spawn({
        let task = Arc::clone(&task);
        async move { task.ask(&needed(&["three"])).await }
    });
    task.cancel();
    assert_eq!(asking.await.unwrap(), None);
    assert_eq!(task.to_json(true)["status"], "cancelled");
}

#[test]
fn the_oldest_that_ended_make_room_and_the_old_are_forgotten() {
    let tasks = Tasks::default();
    let (one, now) = (Grant::whole(Caller::Anonymous), SystemTime::now());
    let all: Vec<_> = (0..MOST_OF_ONE).map(|_| begin(&tasks, one.caller())).collect();
    assert!(tasks.begin(&one, CancellationToken::new(), now).is_none());
    assert!(tasks.begin(&Grant::whole(Caller::Key("b".into())), CancellationToken::new(), now).is_some());
    all[5].complete(json!({}));
    let fresh = tasks.begin(&one, CancellationToken::new(), now).unwrap();
    assert!(
        tasks.find(&all[5].id, &one, SystemTime::now()).is_none()
            && tasks.find(&fresh.id, &one, SystemTime::now()).is_some()
    );
    fresh.complete(json!({}));
    let later = now + LIFE + Duration::from_secs(60);
    all[6].complete(json!({}));
    tasks.begin(&one, CancellationToken::new(), later).unwrap();
    assert!(
        tasks.find(&fresh.id, &one, SystemTime::now()).is_none()
            && tasks.find(&all[7].id, &one, SystemTime::now()).is_some()
    );
}
