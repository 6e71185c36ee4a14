//! Who hears what of a stream that is come back for.

use super::*;
use crate::auth::{Caller, Grant};
use crate::config::Current;
use crate::limits::Exceeded;
use crate::metrics::Metrics;
use crate::protocol::Transport;
use crate::protocol::backlog::Backlog;
use crate::protocol::outbox::Outbox;

fn session() -> Arc<Session> {
    let outbox = Outbox::new(9, false, Arc::new(Backlog::new(Current::of(&[]))));
    let exceeded = Arc::new(Exceeded::new(Arc::new(Metrics::new())));
    let grant = Grant::whole(Caller::Anonymous);
    Arc::new(Session::new("0123".into(), Transport::Http, grant, outbox, exceeded))
}

fn open(session: &Arc<Session>) -> (Reader, mpsc::Sender<Bytes>) {
    let (sender, said) = mpsc::channel(9);
    (Answering::open(Some(Arc::clone(session)), None, None, said), sender)
}

fn at(number: u64) -> EventId {
    EventId { stream: 1, number }
}

#[tokio::test]
async fn whoever_comes_back_takes_the_place_and_nothing_is_lost_or_told_to_both() {
    let session = session();
    let (mut first, sender) = open(&session);
    for text in ["one", "two", "three"] {
        sender.send(text.into()).await.unwrap();
    }
    assert_eq!(first.next().await.unwrap(), (1, "one".into()));
    assert_eq!(first.next().await.unwrap(), (2, "two".into()));
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move {
        // The one that still waits there learns of it at once.
        let third = first.next().await;
        (third, first.next().await)
    });
    tokio::task::yield_now().await;
    let mut second = session.resume(at(1)).unwrap();
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), (Some((3, "three".into())), None));
    assert_eq!(second.next().await.unwrap(), (2, "two".into()));
    assert_eq!(second.next().await.unwrap(), (3, "three".into()));
    let answering = Arc::clone(second.of());
    assert!(!answering.gone().is_cancelled(), "the first one's end is nobody's loss");
    answering.finish(Some("answer".into()));
    drop(sender);
    assert_eq!(second.next().await.unwrap(), (4, "answer".into()));
    assert_eq!(second.next().await, None);
    drop(second);
    // Told, but perhaps into a broken connection.
    let mut third = session.resume(at(3)).unwrap();
    assert_eq!(third.next().await.unwrap(), (4, "answer".into()));
    assert_eq!(third.next().await, None);
    assert!(session.resume(at(4)).is_none());
    assert!(session.resume(EventId { stream: 2, number: 0 }).is_none());
}

#[tokio::test]
async fn what_nobody_came_back_for_in_time_is_ended_and_that_is_the_answer() {
    let session = session();
    let (first, sender) = open(&session);
    sender.send("on its way".into()).await.unwrap();
    let answering = Arc::clone(first.of());
    drop(first);
    assert!(answering.gone().is_cancelled() && sender.is_closed());
    answering.finish(Some("too late".into()));
    let mut again = session.resume(at(0)).unwrap();
    assert_eq!(again.next().await.unwrap(), (1, "on its way".into()));
    let (number, answer) = again.next().await.unwrap();
    assert!(number == 2 && String::from_utf8_lossy(&answer).contains("the connection broke"), "{answer:?}");
    assert_eq!(again.next().await, None);
}

#[tokio::test]
async fn an_answer_that_was_not_told_outlives_its_connection() {
    let session = session();
    let (first, sender) = open(&session);
    first.of().finish(Some("answer".into()));
    drop(sender);
    drop(first);
    session.forget_answers(Instant::now() + TOLD * 99);
    let mut again = session.resume(at(0)).unwrap();
    assert_eq!(again.next().await.unwrap(), (1, "answer".into()));
    drop(again);
    // What was told is not kept for long.
    session.forget_answers(Instant::now() + TOLD * 2);
    assert!(session.resume(at(0)).is_none());
}

#[tokio::test]
async fn a_few_are_kept_and_one_that_is_large_only_until_it_is_told() {
    let session = session();
    for _ in 0..20 {
        drop(open(&session));
    }
    let resume = |stream| session.resume(EventId { stream, number: 0 });
    assert!(resume(4).is_none() && resume(5).is_some() && resume(20).is_some());
    let (mut large, sender) = open(&session);
    large.of().finish(Some(vec![b'x'; MOST_BYTES + 1].into()));
    drop(sender);
    assert!(large.next().await.is_some());
    drop(large);
    assert!(resume(21).is_none());
}

#[tokio::test]
async fn without_a_session_nothing_is_kept_and_a_client_that_leaves_ends_its_request() {
    let (sender, said) = mpsc::channel(9);
    let mut reader = Answering::open(None, None, Some("first".into()), said);
    sender.send("second".into()).await.unwrap();
    assert_eq!(
        (reader.next().await.unwrap().1, reader.next().await.unwrap().1),
        ("first".into(), "second".into())
    );
    assert_eq!(reader.event(1), None);
    let answering = Arc::clone(reader.of());
    drop(reader);
    assert!(answering.gone().is_cancelled());
}
