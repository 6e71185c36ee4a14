//! Work that takes long because there is so much to read: nobody else waits for it.
//!
//! A worker thread of the runtime that is busy looks at no socket, and none of those that sleep does so in its place. The work
//! goes to a thread of its own: a worker may not be turned into one, for programs live as long as who started them.

use serde_json::Value;

/// From so many bytes on: a millisecond of text that is looked through, escaped and copied.
const MUCH: usize = 256 << 10;

/// Does `work` on `bytes` bytes.
pub(crate) async fn with<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if bytes < MUCH {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and who asked with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Writes JSON.
pub(crate) async fn json(value: Value) -> Vec<u8> {
    let bytes = strings(&value);
    with(bytes, move || serde_json::to_vec(&value).expect("an object has string keys")).await
}

/// How long the strings in it are.
fn strings(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(strings).sum(),
        Value::Object(fields) => fields.values().map(strings).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn much_is_done_by_another_thread_and_little_by_this_one() {
        let this = std::thread::current().id();
        let who = || std::thread::current().id();
        assert_eq!(with(MUCH - 1, who).await, this);
        assert_ne!(with(MUCH, who).await, this);
        let text = "\"".repeat(MUCH);
        let found: Value = serde_json::from_slice(&json(text.as_str().into()).await).unwrap();
        assert_eq!(found, text);
    }

    #[tokio::test]
    #[should_panic(expected = "of the work")]
    async fn a_panic_stays_one() {
        with(MUCH, || panic!("of the work")).await;
    }
}
