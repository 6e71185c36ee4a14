//! Questions of ours to a client: requests from the server, in the revisions that have sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::jsonrpc::{Id, Response};

/// Questions of one session that may be open.
const MOST: usize = 100;

/// What a client says to a question: a result, or an error.
pub(super) type Answer = Result<Box<RawValue>, Box<RawValue>>;

/// The open questions of one session.
#[derive(Debug, Default)]
pub(super) struct Questions {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<Id, oneshot::Sender<Answer>>,
    asked: u64,
    closed: bool,
}

impl Questions {
    /// Opens one; `None` where too many are open or the session has ended. The answer comes through the receiver,
    /// which fails where the session ends first.
    pub(super) fn open(self: &Arc<Self>) -> Option<(Asking, oneshot::Receiver<Answer>)> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        if state.open.len() >= MOST || state.closed {
            return None;
        }
        state.asked += 1;
        let number = state.asked;
        state.open.insert(Id::of_ours(number), sender);
        Some((Asking { questions: Arc::clone(self), number }, receiver))
    }

    /// Takes what a client says; an answer to nothing that is open is passed over.
    pub(super) fn answer(&self, response: Response) {
        let waiting = response.id.and_then(|id| self.lock().open.remove(&id));
        if let Some(waiting) = waiting {
            // Whoever asked may have given up.
            let _heard = waiting.send(response.result);
        }
    }

    /// Whoever waits learns that there will be no answer.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.open.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open question. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Asking {
    questions: Arc<Questions>,
    number: u64,
}

impl Asking {
    /// The id of the request to the client.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.questions.lock().open.remove(&Id::of_ours(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::super::jsonrpc::{Frame, Message, parse};
    use super::*;

    fn response(text: &str) -> Response {
        match parse(text.as_bytes()) {
            Ok(Frame::One(Message::Response(response))) => response,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_answer_finds_its_question_once_and_the_end_closes_all() {
        let questions = Arc::new(Questions::default());
        let (first, heard) = questions.open().unwrap();
        let (second, refused) = questions.open().unwrap();
        assert_eq!((first.number(), second.number()), (1, 2));
        for stray in [r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, r#"{"jsonrpc":"2.0","error":{}}"#] {
            questions.answer(response(stray));
        }
        questions.answer(response(r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#));
        assert_eq!(heard.await.unwrap().unwrap().get(), r#"{"a":1}"#);
        questions.answer(response(r#"{"jsonrpc":"2.0","id":2,"error":{"code":-1}}"#));
        assert_eq!(refused.await.unwrap().unwrap_err().get(), r#"{"code":-1}"#);
        let (third, given_up) = questions.open().unwrap();
        drop(third);
        assert!(given_up.await.is_err());
        let (_fourth, lost) = questions.open().unwrap();
        questions.close();
        assert!(lost.await.is_err() && questions.open().is_none());
    }

    #[test]
    fn their_number_is_bounded() {
        let questions = Arc::new(Questions::default());
        let open: Vec<_> = std::iter::from_fn(|| questions.open()).collect();
        assert_eq!(open.len(), MOST);
        drop(open);
        assert!(questions.open().is_some());
    }
}
