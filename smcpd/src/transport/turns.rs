//! Has a connection that sends many requests at once answer a few of them, and the others after every other connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

/// Requests that a connection may begin in one turn; hyper alone would let it begin 16. Who waits for an answer before the
/// next request never has more than one.
const IN_A_TURN: u32 = 2;

/// One connection's turn: what it does from the moment its task is woken until it waits for something.
#[derive(Debug, Default)]
pub(super) struct Turn {
    begun: AtomicU32,
}

impl Turn {
    /// Gives the connection a new turn.
    pub(super) fn take<C: Future>(
        &self,
        connection: Pin<&mut C>,
        context: &mut Context<'_>,
    ) -> Poll<C::Output> {
        self.begun.store(0, Ordering::Relaxed);
        connection.poll(context)
    }

    /// Begins a request: at once, or where there were enough in this turn, in the next.
    pub(super) async fn begin(&self) {
        if self.begun.fetch_add(1, Ordering::Relaxed) < IN_A_TURN {
            return;
        }
        let mut has_waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            // Not tokio's `yield_now`, which wakes later: something else may wake the connection before it, while others wait.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::JoinSet;

    use super::*;

    /// Answers every request of a connection, and notes whose it was.
    async fn serve(stream: DuplexStream, whose: char, order: Arc<Mutex<String>>) {
        let turn = Turn::default();
        let service = service_fn(|_| {
            let (turn, order) = (&turn, &order);
            async move {
                turn.begin().await;
                order.lock().unwrap().push(whose);
                Ok::<_, Infallible>(hyper::Response::new(Body::empty()))
            }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        poll_fn(|context| turn.take(connection.as_mut(), context)).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_pipelines_takes_turns_with_one_that_does_not() {
        let order = Arc::<Mutex<String>>::default();
        let (mut clients, mut served) = (Vec::new(), JoinSet::new());
        for (whose, requests) in [('a', 40), ('b', 1), ('c', 40)] {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let asked = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(requests - 1);
            let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            client.write_all(format!("{asked}{last}").as_bytes()).await.unwrap();
            clients.push(client);
            served.spawn(serve(server, whose, Arc::clone(&order)));
        }
        served.join_all().await;
        for mut client in clients {
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        }
        let order = order.lock().unwrap();
        assert_eq!(order.len(), 81, "everyone was answered: {order}");
        assert!(order.starts_with("aabcc"), "{order}");
        let longest = order.split('c').map(str::len).max().unwrap();
        assert!(longest <= 3, "{order}");
    }
}
