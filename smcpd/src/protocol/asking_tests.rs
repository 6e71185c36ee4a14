//! Tables of what may be asked, and of what may come back.

use super::*;
use crate::catalog::Question as Asked;
use crate::config::Current;

fn client(capabilities: &Value) -> Client {
    Client { capabilities: capabilities.as_object().unwrap().clone(), level: None }
}

fn needed(methods: &[&str]) -> Needed {
    let question = |method: &&str| {
        ((*method).to_owned(), Asked { method: (*method).to_owned(), params: json!({"message": "?"}) })
    };
    Needed { questions: methods.iter().map(question).collect(), state: Some(json!(7)) }
}

const ALL: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];

#[test]
fn only_what_the_client_can_answer_is_asked() {
    let left = |capabilities: Value| match askable(needed(&ALL), &client(&capabilities)) {
        Ok(needed) => needed.questions.into_iter().map(|(key, _)| key).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    };
    assert_eq!(left(json!({"sampling": {}, "roots": {}})), "sampling/createMessage roots/list");
    assert_eq!(left(json!({"elicitation": {}})), "elicitation/create");
    assert!(left(json!({})).ends_with("(elicitation, sampling, roots)"));
    let page = Needed {
        questions: vec![(
            "k".to_owned(),
            Asked { method: ALL[0].to_owned(), params: json!({"mode": "url"}) },
        )],
        state: None,
    };
    assert!(askable(page.clone(), &client(&json!({"elicitation": {}}))).is_err());
    assert!(askable(page, &client(&json!({"elicitation": {"url": {}}}))).is_ok());
}

#[test]
fn a_stateless_client_gets_the_questions_and_comes_back_with_answers() {
    let seal = Seal::new(Current::of(&[]));
    let result = required(&needed(&ALL[..1]), &seal, b"b");
    assert_eq!(result["inputRequests"][ALL[0]], json!({"method": ALL[0], "params": {"message": "?"}}));
    let state = result["requestState"].as_str().unwrap();
    let answers = json!({"k": {"action": "accept", "content": {"a": 1}}}).to_string();
    let answers = RawValue::from_string(answers).unwrap();
    let input = Input::read(Some(&answers), Some(state), &seal, b"b").unwrap().unwrap();
    assert_eq!(input.to_json(), r#"{"responses":{"k":{"action":"accept","content":{"a":1}}},"state":7}"#);
    assert_eq!(Input::read(None, None, &seal, b"b").unwrap(), None);
    let foreign = Input::read(Some(&answers), Some(state), &seal, b"other").unwrap_err();
    assert_eq!(foreign.code, INVALID_PARAMS);
    let error = missing_capability(&["sampling"]);
    assert_eq!((error.code, error.data), (-32021, Some(json!({"requiredCapabilities": {"sampling": {}}}))));
}

#[test]
fn what_is_no_answer_is_refused_by_name() {
    let seal = Seal::new(Current::of(&[]));
    let read = |text: &str| {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        match Input::read(Some(&raw), None, &seal, b"") {
            Ok(input) => format!("{:?}", input.map(|input| input.responses.len())),
            Err(error) => error.message,
        }
    };
    assert_eq!(read("null"), "None");
    assert_eq!(read("{}"), "Some(0)");
    assert_eq!(read(r#"{"a": {"action": "decline"}, "b": {"roots": []}}"#), "Some(2)");
    assert_eq!(read("[]"), "`inputResponses` must be an object");
    for text in [r#"{"user": 12345}"#, r#"{"user": null}"#, r#"{"user": {"anything": 1}}"#] {
        assert_eq!(read(text), "`inputResponses.user` is no answer to a question of ours");
    }
    let long = json!({"a": {"action": "accept", "content": {"x": "y".repeat(200_000)}}}).to_string();
    assert!(read(&long).contains("bytes together"));
}

#[test]
fn a_binding_is_of_caller_target_and_arguments() {
    let arguments = |value: Value| value.as_object().unwrap().clone();
    let one = binding("a", "b.c", &arguments(json!({"x": 1})));
    assert_eq!(one, binding("a", "b.c", &arguments(json!({"x": 1}))));
    for other in [
        binding("ab", ".c", &arguments(json!({"x": 1}))),
        binding("a", "b.d", &arguments(json!({"x": 1}))),
        binding("a", "b.c", &arguments(json!({"x": 2}))),
    ] {
        assert_ne!(one, other);
    }
}
