//! One JSON value a line, bounded.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame, its line feed included, in bytes. A larger result is refused, not cut.
pub const FRAME: usize = 1 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    #[error("a frame is larger than {FRAME} bytes")]
    TooLarge,
    #[error("a frame is not what was expected: {0}")]
    Malformed(String),
}

/// Reads one frame; `None` where the other side closed the connection between frames.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
) -> Result<Option<T>, WireError> {
    let mut line = Vec::new();
    from.take(FRAME as u64).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if !line.ends_with(b"\n") && line.len() >= FRAME {
        return Err(WireError::TooLarge);
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| WireError::Malformed(error.to_string()))
}

/// Writes one frame.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &impl Serialize) -> Result<(), WireError> {
    let mut line = serde_json::to_vec(frame).map_err(|error| WireError::Malformed(error.to_string()))?;
    line.push(b'\n');
    if line.len() > FRAME {
        return Err(WireError::TooLarge);
    }
    to.write_all(&line).await?;
    to.flush().await?;
    Ok(())
}
