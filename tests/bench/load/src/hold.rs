//! Many sessions of HTTP+SSE at once.

use std::time::Instant;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::Failure;
use crate::line::{Line, Transport};

/// Opens streams, a few at a time, and says how long that took.
pub(crate) async fn open(url: &str, count: usize, at_once: usize) -> Result<(Vec<Line>, Value), Failure> {
    let began = Instant::now();
    let share = count.div_ceil(at_once);
    let opened = try_join_all((0..at_once).map(|index| async move {
        let mine = share.min(count.saturating_sub(index * share));
        let mut lines = Vec::with_capacity(mine);
        for _ in 0..mine {
            lines.push(Line::open(Transport::Sse, url).await?);
        }
        Ok::<_, Failure>(lines)
    }));
    let lines: Vec<Line> = opened.await?.into_iter().flatten().collect();
    let seconds = began.elapsed().as_secs_f64();
    Ok((lines, json!({ "seconds": seconds })))
}

/// Says `initialize` on each, so that each has a connection for its messages too.
pub(crate) async fn greet(lines: &mut [Line], ids: &mut u64) -> Result<(), Failure> {
    for line in lines {
        *ids += 1;
        line.greet(*ids).await?;
    }
    Ok(())
}
